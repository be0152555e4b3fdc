"""Put what is shipped into a Mosaic home. What belongs to the operator is never overwritten."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from fleet.files import write_atomic
from fleet.home import Home

# folder in the package → folder in the home. Their files are ours: replaced when they differ.
_SHIPPED = {
    "tools": "tools",
    "agents": "agents",
    "fleet/roles": "fleet/roles",
    "fleet/examples": "fleet/examples",
}
_SHIPPED_FILES = ("CONSTITUTION.md", "TOOLS.md")
# made once, then the operator's
_ONCE = {"SOUL.md": "SOUL.md"}
_FOLDERS = (
    "fleet/agents",
    "fleet/run/lock",
    "fleet/run/mail",
    *(f"fleet/run/spool/{name}" for name in ("tmp", "new", "cur", "dead")),
    "fleet/run/audit.d",
    "bot",
)
_SKIPPED = {"__pycache__"}


class SeedError(Exception):
    """The home could not be seeded; the text says where and what to do."""


def presets() -> tuple[str, ...]:
    """Names of the shipped rosters."""
    folder = package() / "fleet" / "examples"
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def package() -> Path:
    """The folder of the shipped files."""
    return Path(str(resources.files("framework")))


def framework_version() -> int:
    return int((package() / "FRAMEWORK_VERSION").read_text("utf-8"))


def seed(home: Home, *, roster: str | None = None) -> list[str]:
    """Copy the shipped files into ``home``, modes kept; ``roster`` names a preset that becomes
    `fleet/roster.yaml` where there is none yet. The home-relative paths that were written come back.

    Raises SeedError for an unknown preset and for a home that cannot be written.
    """
    if roster is not None and roster not in presets():
        raise SeedError(f"no preset is called {roster!r}; there are: {', '.join(presets())}")
    written: list[str] = []
    try:
        _folders(home)
        for source, target in _plan(package()):
            if _put(source, home.root / target):
                written.append(target)
        for name, target in _ONCE.items():
            if not (home.root / target).exists() and _put(package() / name, home.root / target):
                written.append(target)
        if roster is not None and not home.roster.exists():
            _put(package() / "fleet" / "examples" / f"{roster}.yaml", home.roster)
            written.append("fleet/roster.yaml")
        version = home.root / ".framework-version"
        text = f"{framework_version()}\n".encode()
        if not version.exists() or version.read_bytes() != text:
            write_atomic(version, text, 0o644)
            written.append(".framework-version")
    except OSError as problem:
        raise SeedError(
            f"the home {home.root} cannot be seeded: {problem.strerror or problem} ({problem.filename});"
            " give a folder that you may write to"
        ) from problem
    return written


def _folders(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    if home.root.stat().st_uid == os.getuid():
        home.root.chmod(0o700)
    for name in _FOLDERS:
        (home.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)


def _plan(root: Path) -> Iterator[tuple[Path, str]]:
    for name in _SHIPPED_FILES:
        yield root / name, name
    for source, target in _SHIPPED.items():
        for path in sorted((root / source).rglob("*")):
            if path.is_file() and not _SKIPPED.intersection(path.parts):
                yield path, f"{target}/{path.relative_to(root / source).as_posix()}"


def _put(source: Path, target: Path) -> bool:
    """Copy when it differs; whether it was written. `*.local.*` is the operator's, whoever made it."""
    if ".local." in target.name and target.exists():
        return False
    data = source.read_bytes()
    # a wheel keeps the x bit, an archive of the sources may not: programs are known by their first bytes
    runs = data.startswith(b"#!") or bool(source.stat().st_mode & stat.S_IXUSR)
    mode = 0o755 if runs else 0o644
    if target.is_file() and target.read_bytes() == data and stat.S_IMODE(target.stat().st_mode) == mode:
        return False
    write_atomic(target, data, mode)
    target.chmod(mode)  # whatever the umask took away
    return True
