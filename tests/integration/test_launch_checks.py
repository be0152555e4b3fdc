"""What happens around a start: a check that fails, a terminal that goes away, a lock that is only asked."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import LiveFleet, tmux, wait_for
from node_harness import ROOT, Fleet, until

from fleet.home import Home
from fleet.launch.waiting import Waiting
from framework.seed import seed


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A seeded home whose agent is started by the shipped launcher."""
    fleet = Fleet(tmp_path, "coder0")
    seed(fleet.home)
    text = fleet.home.roster.read_text()
    fleet.home.roster.write_text(
        text.replace("runtime: stub", f"runtime: stub, working_directory: {tmp_path}")
    )
    yield fleet
    fleet.close()


def launch(fleet: Fleet) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TMUX", "MOSAIC_"))}
    env |= {"MOSAIC_HOME": str(fleet.home.root), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
    env["STUB_THINK_S"] = "0.05"
    fleet.home.agents.mkdir(exist_ok=True)
    fleet.home.env_file("coder0").write_text(
        f"MOSAIC_AGENT_NAME=coder0\nMOSAIC_AGENT_RUNTIME=stub\nMOSAIC_AGENT_WORKDIR='{fleet.home.root}/w'\n"
        f"MOSAIC_TMUX_SOCKET={fleet.socket}\n"
    )
    done = subprocess.run(
        [fleet.home.start_tool, "coder0"], capture_output=True, text=True, timeout=60, env=env
    )
    assert done.returncode == 0, done.stderr


def test_a_failed_check_keeps_the_pane_is_a_block_and_ends_when_mended(fleet: Fleet) -> None:
    fleet.start_node(supervise=True)
    soul = fleet.home.root / "SOUL.md"
    soul.unlink()
    launch(fleet)
    until(lambda: fleet.state("coder0").get("status") == "blocked", why="the block")
    assert "SOUL.md is missing" in fleet.state("coder0")["blocked_reason"]
    assert "mosaic init" in fleet.screen("coder0").replace("\n", "")
    (told,) = until(lambda: fleet.told("block"), why="the envelope for people")
    assert (told.src, told.verified) == ("here:coder0", True)
    sent = fleet.put("coder0", "are you there")
    fleet.held("coder0", sent, "dialog")
    pid = fleet.tmux("display-message", "-p", "-t", "=coder0:0.0", "#{pane_pid}")
    soul.write_text("# Soul\n")
    assert fleet.settled("coder0", sent).verdict == "accepted"
    assert len(fleet.told("unblock")) == 1
    assert fleet.tmux("display-message", "-p", "-t", "=coder0:0.0", "#{pane_pid}") == pid
    environ = Path(f"/proc/{pid.strip()}/environ").read_bytes()
    assert b"MOSAIC_AGENT_NAME=coder0" in environ
    assert b"MOSAIC_LAUNCH_WAITS" not in environ


def test_a_person_at_a_shell_gets_exit_four(mosaic_home: Path) -> None:
    (mosaic_home / "SOUL.md").unlink()
    env = {k: v for k, v in os.environ.items() if not k.startswith("MOSAIC_")}
    env |= {"MOSAIC_HOME": str(mosaic_home), "MOSAIC_AGENT_NAME": "coder0", "MOSAIC_LAUNCH_WAITS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "yolo", "stub"],
        capture_output=True, text=True, timeout=60, env=env, cwd=ROOT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 4
    assert "SOUL.md is missing; mosaic init" in done.stderr


def test_a_check_is_told_each_time_and_named_once(tmp_path: Path) -> None:
    told: list[dict[str, object]] = []
    waiting = Waiting(
        Home(tmp_path), "coder0", "stub", sleep=lambda _: None, post=lambda _, body: told.append(dict(body))
    )
    waiting.passed()
    assert told == []
    assert [waiting.failed(reason) for reason in ("no soul", "no soul", "no server")] == [True, False, True]
    waiting.passed()
    assert [body["event"] for body in told] == ["blocked", "blocked", "blocked", "unblocked"]
    assert told[0]["question"] == told[1]["question"] != told[2]["question"]
    assert told[3]["question"] == told[2]["question"]


def test_a_program_whose_terminal_is_taken_away_is_started_again(fleet: Fleet) -> None:
    """It says that it ended by a signal: nobody at its prompt wished it away."""
    fleet.start_node(supervise=True)
    launch(fleet)
    until(lambda: fleet.state("coder0").get("status") == "idle", why="the first report")
    before = fleet.tmux("display-message", "-p", "-t", "=coder0:0.0", "#{pane_pid}").strip()
    fleet.tmux("kill-session", "-t", "=coder0")
    until(lambda: fleet.state("coder0").get("status") == "ended", why="its last report")
    panes = "#{session_name} #{pane_pid}"
    until(lambda: "coder0" in (now := fleet.tmux("list-panes", "-a", "-F", panes)) and before not in now)
    until(lambda: fleet.state("coder0").get("status") == "idle", why="the new program's report")


def test_who_asks_whether_a_node_lives_does_not_stop_one_from_starting(fleet: Fleet) -> None:
    """Asking holds the lock for a moment; here somebody asks all the time."""
    fleet.home.node_lock.touch()
    asking = threading.Event()

    def ask() -> None:
        while not asking.wait(0.02):
            with fleet.home.node_lock.open("rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                time.sleep(0.06)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        node = fleet.start_node()
    finally:
        asking.set()
        thread.join(10)
    assert node.poll() is None


def test_a_linked_mosaic_finds_its_interpreter(live: LiveFleet, tmp_path: Path) -> None:
    """An installer that keeps each program in a place of its own puts only a link on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mosaic").symlink_to(Path(sys.executable).parent / "mosaic")
    live.define("coder0", runtime="claude", command="exec sleep 600")
    record = tmp_path / "claude.json"
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    done = live.launch("coder0", PATH=path, MOSAIC_CLAUDE_JSON=str(record))
    assert done.stderr == ""
    assert '"hasTrustDialogAccepted": true' in record.read_text()


def test_the_heartbeat_carries_the_task_with_its_time(live: LiveFleet) -> None:
    run = live.home / "fleet" / "run"
    live.define("coder0", command="exec sleep 600", MOSAIC_HEARTBEAT_INTERVAL="1")
    state = run / "coder0.state"
    since = "2026-01-02T03:04:05Z"
    with (run / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state.write_text(f'{{"status": "idle", "task": "T-1", "task_since": "{since}"}}')
        live.launch("coder0")
        wait_for(lambda: state.touch() or live.beat("coder0").get("task_since") == since, "the task's time")
        assert live.beat("coder0")["task"] == "T-1"
    tmux(live.socket, "kill-session", "-t", "=coder0")
