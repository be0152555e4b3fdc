"""What goes wrong at a start is one paragraph with its mend and an exit code, never a traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli import main
from connectors.matrix.wire import _reason
from fleet.home import Home

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("mosaic")
ROSTER = (
    "version: 1\ntransport: tmux\ntmux: {socket_name: mf-errors}\n"
    "agents: [{name: coder0, class: code, runtime: stub}]\n"
)
CONFIG = "rooms: {ops: {mode: ops}}\nsupervisor: none\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that starts, unless a test spoils it."""
    made = Home(tmp_path / "home")
    made.bot.mkdir(parents=True)
    made.fleet.mkdir()
    made.roster.write_text(ROSTER)
    made.config.write_text(CONFIG)
    return made


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A loopback port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def no_tmux(tmp_path: Path) -> str:
    """A PATH with everything but tmux."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("bash", "sh", "env", "cat", "git", "flock", "python3"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def mosaic(home: Home, *words: str, path: str | None = None) -> tuple[int, str]:
    """Exit code and stderr; what a refused call says must be one paragraph."""
    env = {**os.environ, "MOSAIC_HOME": str(home.root)} | ({} if path is None else {"PATH": path})
    done = subprocess.run(
        [str(PROGRAM), *words], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def paragraph(told: str) -> str:
    """The one line of stderr; anything more (a traceback, a library's warning) fails."""
    lines = told.splitlines()
    assert len(lines) == 1, told
    return lines[0]


@pytest.mark.parametrize(
    "words", ["fleet ps", "fleet start", "agent send coder0 hi", "agent tail coder0", "node", "bot run"]
)
def test_missing_tmux(home: Home, no_tmux: str, words: str) -> None:
    code, told = mosaic(home, *words.split(), path=no_tmux)
    assert code == 1
    assert "Install the package tmux" in paragraph(told)


def test_missing_tmux_for_the_demo(tmp_path: Path, no_tmux: str) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--dir", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": no_tmux},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Install" in paragraph(done.stderr.strip())
    assert not folder.exists()


def test_health_port_in_use(home: Home, taken_port: int) -> None:
    home.config.write_text(f'{CONFIG}http: {{listen: "127.0.0.1:{taken_port}"}}\n')
    code, told = mosaic(home, "bot", "run")
    assert code == 1
    assert str(taken_port) in paragraph(told)
    assert "http.listen" in told
    assert not home.bot_json.exists()


def matrix_config(home: Home, homeserver: str) -> None:
    secret = home.bot / "password"
    secret.write_text("tell-nobody\n")
    home.config.write_text(
        f"connectors: {{matrix: {{homeserver: '{homeserver}', user_id: '@fleet:x', "
        f"password_file: '{secret}'}}}}\n"
        "rooms: {ops: {mode: ops, matrix: '!ops:x'}}\nsupervisor: none\n"
    )


def test_homeserver_unreachable(home: Home) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    matrix_config(home, url)
    code, told = mosaic(home, "bot", "run")
    assert code == 1
    assert url in paragraph(told)
    assert "connectors.matrix.homeserver" in told
    assert "tell-nobody" not in told


def test_a_name_that_does_not_resolve_is_told_in_words() -> None:
    said = _reason(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert said == "Name or service not known"


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("connectors: [1", "broken YAML"),
        ("roms: {}\n", "Did you mean `rooms`?"),
        ("rooms: {ops: {mode: opps}}\n", "Did you mean `ops`?"),
        ("rooms: {room1: {mode: ops}}\n", "no digits"),
        ("http: {listen: '0.0.0.0:80'}\n", "127.0.0.1"),
        ("schedules: [{id: a, report: readiness, every_s: 5, room: nope}]\n", "nope"),
    ],
)
def test_invalid_config(home: Home, text: str, mend: str) -> None:
    home.config.write_text(text)
    code, told = mosaic(home, "bot", "run")
    assert code == 3
    assert mend in paragraph(told)
    assert str(home.config) in told


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("version: 2\ntransport: tmux\nagents: []\n", "version: 1"),
        ("agents: [", "broken YAML"),
        (ROSTER.replace("coder0", "Coder 0"), "Small letters".lower()),
        (ROSTER.replace("runtime: stub", "runtime: stubb"), "stub"),
        ("", "mosaic init"),
    ],
)
@pytest.mark.parametrize("words", ["fleet ps", "fleet start", "node", "bot run"])
def test_invalid_roster(home: Home, text: str, mend: str, words: str) -> None:
    home.roster.write_text(text)
    code, told = mosaic(home, *words.split())
    assert code == 3
    assert mend in paragraph(told)
    assert str(home.roster) in told


def test_a_home_that_was_never_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "nothing")
    for words in ("fleet ps", "bot run"):
        code, told = mosaic(home, *words.split())
        assert code == 3
        assert "mosaic init" in paragraph(told)


def test_a_broken_register_is_named_with_its_mend(home: Home) -> None:
    home.register.write_bytes(b"this is no database" * 100)
    code, told = mosaic(home, "bot", "run")
    assert code == 1
    assert str(home.register) in paragraph(told)


def test_what_needs_the_bot_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["escalation", "list"], ["chat", "-m", "hello"]):
        assert main(["--mosaic-home", str(home.root), *words]) == 6
        assert "mosaic bot run" in paragraph(capsys.readouterr().err)


def test_the_nodes_own_port_is_taken(home: Home, taken_port: int) -> None:
    """Running programs report to the recorded port: it is never changed silently."""
    home.node_json.write_text(f'{{"port": {taken_port}, "socket": "{home.node_socket}"}}')
    code, told = mosaic(home, "node")
    assert code == 1
    assert str(taken_port) in paragraph(told)
    assert str(home.node_json) in told
