from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_support import LiveFleet, own_socket, tmux, wait_for

from fleet.home import Home
from fleet.launch.start import Failed, Started, start_agent, stop_agent, stopped_file
from fleet.model import AgentDef


def sessions(live: LiveFleet) -> list[str]:
    return tmux(live.socket, "list-sessions", "-F", "#{session_name}").split()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def sidecars(live: LiveFleet) -> list[int]:
    """Pids of the heartbeat sidecars of this home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            # a fork of the script on its way to a program looks the same but is the script's child
            if f"{live.home}/tools/fleet/heartbeat-sidecar.sh" in words and parent in {"1", *_reapers()}:
                found.append(int(entry.name))
    return found


def _reapers() -> set[str]:
    return {str(os.getpid()), str(os.getppid())}


def test_it_opens_a_terminal_with_the_agents_environment(live: LiveFleet) -> None:
    live.define(
        "coder0",
        command='cd "$MOSAIC_HOME"; tty >tty; env -0 >seen; pwd -P >where; exec sleep 600',
        X_KEPT="1",
    )
    done = live.launch("coder0", MOSAIC_AGENT_NAME="coder0", MOSAIC_AGENT_CLASS="code")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: (live.home / "where").exists(), "the program")
    seen = dict(
        pair.split("=", 1)
        for pair in wait_for(lambda: (live.home / "seen").read_text(), "its environment").split("\0")
        if "=" in pair
    )
    wanted = {"MOSAIC_HOME": str(live.home), "MOSAIC_AGENT_NAME": "coder0", "MOSAIC_AGENT_CLASS": "code"}
    wanted |= {"MOSAIC_AGENT_RUNTIME": "stub", "MOSAIC_TMUX_SOCKET": live.socket}
    assert wanted.items() <= seen.items()
    assert seen["PATH"].startswith(f"{live.home}/tools/tmux:")
    assert (live.home / "tty").read_text().startswith("/dev/pts/")
    assert (live.home / "work").is_dir()
    assert sessions(live) == ["_holder", "coder0"]


def test_a_second_start_leaves_the_session_alone(live: LiveFleet) -> None:
    live.start("coder0")
    before = live.pane("coder0")
    done = live.launch("coder0")
    assert done.returncode == 0
    assert "runs already" in done.stdout
    assert live.pane("coder0") == before


def test_five_starts_at_once_make_one_server(live: LiveFleet) -> None:
    names = [f"coder{number}" for number in range(5)]
    for name in names:
        live.define(name, command="exec sleep 600")
    tool = live.home / "tools" / "fleet" / "start-agent-session.sh"
    starts = [subprocess.Popen([tool, name], env=live.env(), stdout=subprocess.DEVNULL) for name in names]
    assert [start.wait(60) for start in starts] == [0] * 5
    assert sorted(sessions(live)) == ["_holder", *names]
    assert len(set(tmux(live.socket, "list-panes", "-a", "-F", "#{pid}").split())) == 1
    wait_for(lambda: all(live.beat(name) for name in names), "a heartbeat of each")


def test_the_heartbeat_says_whose_pane_it_is_and_ends_with_it(live: LiveFleet) -> None:
    live.define("coder0", command="exec sleep 600", MOSAIC_HEARTBEAT_INTERVAL="1")
    live.launch("coder0")
    _, pid = live.pane("coder0")
    beat = wait_for(lambda: live.beat("coder0"), "a heartbeat")
    assert {"pid": str(pid), "status": "ok", "interval": "1"}.items() <= beat.items()
    later = wait_for(lambda: live.beat("coder0")["ts"] > beat["ts"], "a fresh heartbeat")
    assert later
    tmux(live.socket, "kill-session", "-t", "=coder0")
    wait_for(lambda: _free(live, "coder0"), "the end of the sidecar")


def _free(live: LiveFleet, name: str) -> bool:
    with (live.home / "fleet" / "run" / f"{name}.hb.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("given", ["0", "x", "-3", ""])
def test_a_senseless_interval_is_fifteen(live: LiveFleet, given: str) -> None:
    live.define("coder0", command="exec sleep 600", MOSAIC_HEARTBEAT_INTERVAL=given)
    live.launch("coder0")
    assert wait_for(lambda: live.beat("coder0"), "a heartbeat")["interval"] == "15"


def test_a_missing_sidecar_is_made_by_the_next_start(live: LiveFleet) -> None:
    live.define("coder0", command="exec sleep 600", MOSAIC_HEARTBEAT_INTERVAL="1")
    live.launch("coder0")
    wait_for(lambda: live.beat("coder0"), "a heartbeat")
    (pid,) = wait_for(lambda: sidecars(live), "the sidecar")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: _free(live, "coder0"), "its lock")
    stale = live.beat("coder0")["ts"]
    assert "runs already" in live.launch("coder0").stdout
    wait_for(lambda: live.beat("coder0")["ts"] > stale, "a new heartbeat")


def test_a_restarted_agent_beats_with_its_new_pid(live: LiveFleet) -> None:
    live.define("coder0", command="exec sleep 600")
    live.launch("coder0")
    wait_for(lambda: live.beat("coder0"), "a heartbeat")
    tmux(live.socket, "kill-session", "-t", "=coder0")
    live.launch("coder0")
    _, pid = live.pane("coder0")
    wait_for(lambda: live.beat("coder0").get("pid") == str(pid), "the new pid")


def test_the_status_is_copied_only_while_a_node_lives(live: LiveFleet) -> None:
    live.define("coder0", command="exec sleep 600", MOSAIC_HEARTBEAT_INTERVAL="1")
    run = live.home / "fleet" / "run"
    state = run / "coder0.state"
    state.write_text(json.dumps({"status": "busy", "model": "m-9", "task": "T-1"}))
    live.launch("coder0")
    assert wait_for(lambda: live.beat("coder0"), "a heartbeat")["status"] == "ok"
    with (run / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state.touch()
        wait_for(lambda: state.touch() or live.beat("coder0").get("status") == "busy", "the copied status")
        assert {"model": "m-9", "task": "T-1"}.items() <= live.beat("coder0").items()
    wait_for(lambda: live.beat("coder0").get("status") == "ok", "ok without a node")


def test_settings_of_another_agents_pane_are_not_taken_over(live: LiveFleet) -> None:
    live.define("coder0", command='echo "$MOSAIC_AGENT_RUNTIME" >"$MOSAIC_HOME/runtime"; exec sleep 600')
    live.launch(
        "coder0", MOSAIC_AGENT_NAME="orchestrator", MOSAIC_AGENT_RUNTIME="claude", MOSAIC_AGENT_MODEL="opus"
    )
    wait_for(lambda: (live.home / "runtime").exists(), "the program")
    assert wait_for(lambda: (live.home / "runtime").read_text(), "its runtime") == "stub\n"


@pytest.mark.parametrize(
    ("extra", "argv"),
    [
        ({}, "yolo claude"),
        (
            {"MOSAIC_AGENT_YOLO": "true", "MOSAIC_AGENT_CHANNELS": "plugin:discord@ops"},
            "yolo claude --channels plugin:discord@ops",
        ),
        ({"MOSAIC_AGENT_YOLO": "false"}, "claude"),
    ],
)
def test_the_default_command(live: LiveFleet, tmp_path: Path, extra: dict[str, str], argv: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mosaic").write_text('#!/bin/bash\necho "$@" >"$MOSAIC_HOME/argv"\nexec sleep 600\n')
    (programs / "mosaic").chmod(0o755)
    live.define("coder0", runtime="claude", command="", **extra)
    done = live.launch("coder0", PATH=f"{programs}:{os.environ['PATH']}", HOME=str(tmp_path))
    assert done.returncode == 0
    wait_for(lambda: (live.home / "argv").exists() and (live.home / "argv").read_text(), "the command")
    assert (live.home / "argv").read_text().strip() == argv
    assert "WARNING: could not pre-trust workdir for claude agent coder0" in done.stderr


def test_without_env_file_the_defaults_hold_and_it_is_said(live: LiveFleet, tmp_path: Path) -> None:
    """On the default socket, in a socket folder of the test's own."""
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mosaic").write_text('#!/bin/bash\necho "$@" >"$MOSAIC_HOME/argv"\nexec sleep 600\n')
    (programs / "mosaic").chmod(0o755)
    env = {"TMUX_TMPDIR": str(folder), "HOME": str(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"}
    done = live.launch("canary-pi", **env)
    assert done.returncode == 0, done.stderr
    assert "WARNING: no env file" in done.stderr
    try:
        wait_for(lambda: (live.home / "argv").exists() and (live.home / "argv").read_text(), "the command")
        assert (live.home / "argv").read_text().strip() == "yolo pi"
        assert (tmp_path / "src").is_dir()
    finally:
        said = subprocess.run(
            ["tmux", "-N", "display-message", "-p", "#{pid}"],
            capture_output=True,
            text=True,
            env=live.env(**env),
        )
        os.kill(int(said.stdout), signal.SIGTERM)


def test_wrong_use(live: LiveFleet) -> None:
    tool = live.home / "tools" / "fleet" / "start-agent-session.sh"
    assert subprocess.run([tool], env=live.env(), capture_output=True).returncode == 3
    assert subprocess.run([tool, "../x"], env=live.env(), capture_output=True).returncode == 3
    holder = live.home / "tools" / "fleet" / "start-holder.sh"
    for name in ("", "default", "a b"):
        assert subprocess.run([holder, name], env=live.env(), capture_output=True).returncode == 3


def test_other_servers_are_not_touched(live: LiveFleet) -> None:
    with own_socket(f"{live.socket}-other") as other:
        subprocess.run(["tmux", "-L", other, "-f", "/dev/null", "new-session", "-d", "sleep 600"], check=True)
        before = tmux(
            other, "list-panes", "-a", "-F", "#{session_name} #{pane_id} #{pane_pid} #{session_attached}"
        )
        live.start("coder0")
        live.send("-s", "coder0", "-m", "hi")
        tmux(live.socket, "kill-session", "-t", "=coder0")
        assert before
        assert (
            tmux(
                other, "list-panes", "-a", "-F", "#{session_name} #{pane_id} #{pane_pid} #{session_attached}"
            )
            == before
        )


async def test_start_and_stop_from_python(live: LiveFleet) -> None:
    home = Home(live.home)
    agent = AgentDef(
        "coder0", "stub", socket=live.socket, working_directory=str(live.home / "w"),
        command='exec "$MOSAIC_HOME/agents/stub-agent"',
    )  # fmt: skip
    assert await start_agent(home, agent, env=live.env()) == Started("coder0")
    again = await start_agent(home, agent, env=live.env())
    assert isinstance(again, Started)
    assert again.already
    _, pid = live.pane("coder0")
    assert await stop_agent(home, agent) is None
    wait_for(lambda: gone(pid), "the end of the program")
    assert sessions(live) == ["_holder"]
    assert stopped_file(home, "coder0").exists()
    kept = await start_agent(home, agent, by_person=False, env=live.env())
    assert isinstance(kept, Failed)
    assert "stopped by a person" in kept.reason
    assert isinstance(await start_agent(home, agent, env=live.env()), Started)
    assert not stopped_file(home, "coder0").exists()


async def test_a_start_that_fails_says_why(live: LiveFleet) -> None:
    home = Home(live.home)
    agent = AgentDef("coder0", "stub", socket=live.socket, working_directory="/dev/null/x", command="sleep 1")
    failed = await start_agent(home, agent, env=live.env())
    assert isinstance(failed, Failed)
    assert "/dev/null/x" in failed.reason
    bad = AgentDef("coder0", "stub", socket=live.socket, command="it's")
    failed = await start_agent(home, bad, env=live.env())
    assert isinstance(failed, Failed)
    assert "MOSAIC_AGENT_COMMAND" in failed.reason


def test_shell_tools_are_clean() -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    program = str(checker) if checker.exists() else shutil.which("shellcheck")
    assert program, "shellcheck is a development dependency"
    root = Path(__file__).parents[2] / "framework" / "tools"
    done = subprocess.run([program, "-x", *sorted(root.rglob("*.sh"))], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
