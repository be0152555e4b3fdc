"""Claude's folder-trust question, answered beforehand (TRU-01…12): unattended, it would wait for ever.

``python -m fleet.launch.trust DIR`` is what the launcher runs: exit 0 done, 1 not possible (see stderr).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TrustError(Exception):
    """The record could not be made; nothing was changed. The launch goes on all the same."""


def claude_file(env: Mapping[str, str]) -> Path:
    """`MOSAIC_CLAUDE_JSON`, else `$CLAUDE_CONFIG_DIR/.claude.json`, else `~/.claude.json` (TRU-05)."""
    if given := env.get("MOSAIC_CLAUDE_JSON"):
        return Path(given)
    if folder := env.get("CLAUDE_CONFIG_DIR"):
        return Path(folder) / ".claude.json"
    return Path(env.get("HOME") or Path.home()) / ".claude.json"


def trust(file: Path, folder: Path) -> bool:
    """Record that ``folder`` (resolved) is trusted; False when it was recorded already and nothing is
    written. Other keys and the file's mode stay. Raises TrustError."""
    try:
        with _locked(file):
            return _record(file, str(folder.resolve()))
    except OSError as problem:
        raise TrustError(f"{file}: {problem.strerror or problem}") from problem


def _record(file: Path, folder: str) -> bool:
    try:
        data: Any = json.loads(file.read_text("utf-8")) if file.exists() else {}
    except ValueError as problem:
        raise TrustError(f"{file} does not read as JSON; it was left as it is") from problem
    if not isinstance(data, dict) or not isinstance(data.setdefault("projects", {}), dict):
        raise TrustError(f"{file} has another shape than expected; it was left as it is")
    project = data["projects"].setdefault(folder, {})
    if not isinstance(project, dict):
        raise TrustError(f"{file}: projects[{folder!r}] is not an object; it was left as it is")
    if project.get("hasTrustDialogAccepted") is True:
        return False
    project["hasTrustDialogAccepted"] = True
    target = file.resolve()  # a link into somebody's dot files stays a link
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".claude.json.mosaic.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(data, out, indent=2, ensure_ascii=False)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return True


@contextlib.contextmanager
def _locked(file: Path) -> Any:
    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(f"{file}.mosaic-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def main(argv: list[str], env: Mapping[str, str]) -> int:
    try:
        trust(claude_file(env), Path(argv[0]))
    except (TrustError, IndexError) as problem:
        sys.stderr.write(f"trust: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
