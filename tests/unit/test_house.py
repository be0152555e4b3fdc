"""The rules of the house: sizes, import directions, words that do not belong, dependencies with a reason."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "connectors", "fleet", "framework", "demo")
PARTS = (*PACKAGES, "tests", "scripts", "docs", "requirements", ".ci")
MAX_LINES = 400
# The project stands alone: no path of a machine it was written on, no words of the tools it was written with.
FOREIGN = re.compile(
    r"/root/|/home/[a-z]{2,}/|issue[ #]\d|"
    r"\b(?:as an ai|language model wrote|co-authored-by)\b",
    re.IGNORECASE,
)
RETIRED = re.compile(r"\bsoftware factory\b|\bfactory floor\b", re.IGNORECASE)


def text_files() -> Iterator[Path]:
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.stat().st_size < 1_000_000:
                yield path
    yield from (p for p in ROOT.glob("*") if p.is_file())


def read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None  # a picture


def test_no_module_is_longer_than_a_person_reads() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for part in (*PACKAGES, "tests")
        for path in (ROOT / part).rglob("*.py")
        if "versions" not in path.parts and (lines := path.read_text("utf-8").count("\n")) > MAX_LINES
    }
    assert long == {}


def test_imports_flow_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed: scripts/bootstrap.sh dev")
    done = subprocess.run(
        [tool, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_nothing_names_the_machine_or_tools_it_was_made_with() -> None:
    here = Path(__file__).resolve()
    found = []
    for path in text_files():
        text = read(path) if path != here else None
        for number, line in enumerate((text or "").splitlines(), 1):
            if FOREIGN.search(line) or RETIRED.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_every_dependency_has_its_line_in_the_architecture_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    names = {re.split(r"[<>=\[; ]", entry)[0] for entry in project["dependencies"]}
    assert names - rows == set()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for file, entries in (
        ("run.txt", project["dependencies"]),
        ("dev.txt", [*project["dependencies"], *project["optional-dependencies"]["dev"]]),
    ):
        text = (ROOT / "requirements" / file).read_text("utf-8").lower()
        locked = {line.split("==")[0].split("[")[0] for line in text.splitlines() if "==" in line}
        wanted = {re.split(r"[<>=\[; ]", entry)[0].lower() for entry in entries}
        assert wanted - locked == set(), file


def test_shell_programs_can_be_run() -> None:
    for part in ("scripts", ".ci", "framework/tools", "framework/agents"):
        for path in (ROOT / part).rglob("*"):
            if path.is_file() and "lib" not in path.parts and (read(path) or "").startswith("#!"):
                assert path.stat().st_mode & 0o111, f"{path} has a first line for running but no right to run"


def test_nothing_is_ended_by_name() -> None:
    by_name = re.compile(r"\bpkill\b|\bkillall\b")
    for part in (*PACKAGES, "scripts"):
        for path in (ROOT / part).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".sh", ""} and "__pycache__" not in path.parts:
                assert not by_name.search(read(path) or ""), path
