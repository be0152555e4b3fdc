"""The compiled roster: used while the file is the same, never otherwise, and without the heavy parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.home import Home
from fleet.roster.cache import cache_path, current_roster, load_cached
from fleet.roster.load import RosterError

TEXT = """version: 1
transport: tmux
tmux: {socket_name: s1}
agents:
  - {name: orchestrator, class: orchestrator, runtime: stub, alias: Mös}
  - {name: coder0, runtime: custom, command: "prog --x", lifecycle: ephemeral, yolo: false}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.fleet.mkdir(parents=True)
    home.roster.write_text(TEXT)
    return home


def test_the_cached_roster_equals_the_loaded_one(home: Home) -> None:
    assert load_cached(home) is None
    loaded = current_roster(home)
    assert load_cached(home) == loaded
    assert current_roster(home) == loaded


def test_a_changed_file_is_never_answered_from_the_cache(home: Home) -> None:
    current_roster(home)
    home.roster.write_text(TEXT.replace("coder0", "coder1"))
    assert load_cached(home) is None
    assert current_roster(home).get("coder1") is not None
    home.roster.write_text("version: 3\n")
    with pytest.raises(RosterError):
        current_roster(home)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"layout": 1}', b"\xff"])
def test_a_damaged_cache_is_no_cache(home: Home, damage: bytes) -> None:
    loaded = current_roster(home)
    cache_path(home).write_bytes(damage)
    assert load_cached(home) is None
    assert current_roster(home) == loaded
    body = json.loads(cache_path(home).read_bytes())
    body["roster"]["agents"][0]["unknown"] = 1
    cache_path(home).write_text(json.dumps(body))
    assert load_cached(home) is None


def test_a_home_that_cannot_hold_a_cache_still_has_a_roster(home: Home) -> None:
    home.run.write_text("a file where the folder should be")
    assert current_roster(home).get("coder0") is not None


def test_an_unchanged_roster_and_the_look_at_the_fleet_import_nothing_heavy(home: Home) -> None:
    current_roster(home)
    code = (
        "import sys\n"
        "from fleet.home import Home\n"
        "from fleet.roster.cache import current_roster\n"
        "import fleet.observe.snapshot, fleet.observe.json, fleet.observe.explain\n"
        "current_roster(Home.resolve(sys.argv[1]))\n"
        "heavy = {'pydantic', 'sqlalchemy', 'structlog', 'nio', 'matplotlib', 'aiohttp', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    argv = [sys.executable, "-c", code, str(home.root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
