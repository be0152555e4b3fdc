"""Files that were posted on the local surface: copies under names of our own."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

LIMIT_BYTES = 50_000_000
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


class FileStore:
    """``folder`` holds one file per posted one; its name there is the ``ref``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def keep(self, source: Path, name: str, mime: str, *, key: str) -> dict[str, Any]:
        """Copy ``source`` and describe it; the same ``key`` again gives the same place. Raises OSError."""
        return await asyncio.to_thread(self._keep, source, name, mime, key)

    def _keep(self, source: Path, name: str, mime: str, key: str) -> dict[str, Any]:
        size = source.stat().st_size
        if size > LIMIT_BYTES:
            raise OSError(f"{source.name} has {size} bytes, the limit is {LIMIT_BYTES}")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        plain = _SAFE.sub("_", name).strip(".")[-80:] or "file"
        ref = f"{hashlib.sha256(key.encode()).hexdigest()[:16]}-{plain}"
        temp = self.folder / f".{ref}.{os.getpid()}"
        try:
            shutil.copyfile(source, temp)
            temp.replace(self.folder / ref)
        finally:
            temp.unlink(missing_ok=True)
        return {"ref": ref, "name": name, "mime": mime, "size_bytes": size}

    def path(self, ref: str) -> Path | None:
        """Where a kept file lies; None for what is no reference of ours or is gone."""
        if not ref or "/" in ref or ref.startswith("."):
            return None
        path = self.folder / ref
        return path if path.is_file() else None
