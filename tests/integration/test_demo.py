"""The demo as a person runs it: the flows on real parts, Ctrl-C, and what a killed one leaves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.flows import PLAY
from demo.layout import AGENTS, PROJECT, Layout
from demo.processes import marked
from fleet.home import Home

START_LIMIT_S = 240.0

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(
        not (PROJECT / ".synapse" / "bin" / "python").exists(), reason="no Synapse: scripts/bootstrap.sh"
    ),
]


class Running:
    """A demo process, its lines collected as they come."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.layout = Layout(folder)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--dir", str(folder), *words],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_line(self, words: str) -> None:
        until = time.monotonic() + START_LIMIT_S
        while not any(words in line for line in list(self.lines)):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.text}"
            assert time.monotonic() < until, self.text
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


def living(layout: Layout) -> list[int]:
    found = marked(layout)
    for fd in found.values():
        os.close(fd)
    return list(found)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "demo"
    yield place
    if living(Layout(place)):
        subprocess.run(
            [sys.executable, "-m", "demo", "--dir", place, "--stop"], cwd=PROJECT, check=True, timeout=60
        )


def started_anew_by_a_person(home: str, pids: dict[str, int]) -> list[subprocess.Popen[bytes]]:
    """Node and bot after a kill -9, started by somebody who only knows the home; both at work."""
    place = Home(Path(home))
    env = {k: v for k, v in os.environ.items() if not k.startswith("MOSAIC_")} | {"MOSAIC_HOME": home}
    made = []
    for name, words in (("node", ["node"]), ("bot", ["bot", "run"])):
        os.kill(pids[name], signal.SIGKILL)
        argv = [PROJECT / ".venv" / "bin" / "mosaic", *words]
        made.append(subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    until = time.monotonic() + 60
    wanted = [str(one.pid) for one in made]
    while [lock.read_text().strip() for lock in (place.node_lock, place.register_lock)] != wanted:
        assert time.monotonic() < until
        assert all(one.poll() is None for one in made)
        time.sleep(0.1)
    return made


def still_named(folder: Path) -> list[str]:
    """The command lines that name a folder: launchers, agents, sidecars, homeserver."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if os.fsencode(folder / "home") in line:
                found.append(line.replace(b"\0", b" ").decode())
    return found


def test_it_plays_stays_up_tells_how_to_join_and_leaves_nothing(folder: Path) -> None:
    demo = Running(folder)
    demo.wait_line("Ctrl-C to stop")
    layout = demo.layout
    assert f"{len(PLAY)} of {len(PLAY)} flows worked" in demo.text, demo.text
    assert "Ctrl-C" in [line for line in demo.lines if line.strip()][-1]

    told = json.loads(layout.connection.read_text())
    assert set(told) == {
        "homeserver",
        "operator",
        "outsider",
        "bot",
        "rooms",
        "mosaic_home",
        "tmux_socket",
        "pids",
    }
    assert set(told["rooms"]) == {"ops", "conversation", "log", "reports"}
    assert layout.connection.stat().st_mode & 0o077 == 0
    for pid in told["pids"].values():
        assert Path(f"/proc/{pid}").exists()
    assert told["operator"]["password"] in demo.text

    mosaic = PROJECT / ".venv" / "bin" / "mosaic"
    ps = subprocess.run(
        [mosaic, "--mosaic-home", told["mosaic_home"], "fleet", "ps", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = {row["name"]: row for row in json.loads(ps.stdout)["agents"]}
    assert set(rows) == set(AGENTS)
    assert all("DRIFT" not in row["flags"] for row in rows.values())

    second = Running(folder)
    assert second.process.wait(60) == 5

    others = started_anew_by_a_person(told["mosaic_home"], told["pids"])
    assert demo.end(signal.SIGINT) == 0
    for one in others:
        one.wait(20)
    assert living(layout) == []
    assert still_named(folder) == []
    assert not layout.tmux_socket_file.exists()
    for socket in (layout.home.bot_socket, layout.home.node_socket):
        assert socket.is_relative_to(folder) or not socket.exists()


def test_a_killed_demo_is_cleared_away_by_the_next(folder: Path) -> None:
    demo = Running(folder)
    demo.wait_line("node runs")
    assert demo.end(signal.SIGKILL) == -signal.SIGKILL
    assert living(demo.layout) != []
    stop = Running(folder, "--stop")
    assert stop.process.wait(60) == 0, stop.text
    assert living(demo.layout) == []
    assert not demo.layout.tmux_socket_file.exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("years of work")
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--dir", tmp_path],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
    assert mine.read_text() == "years of work"


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    place = tmp_path / "notes"
    place.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--dir", place],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert str(place) in done.stderr
    assert "Traceback" not in done.stderr
