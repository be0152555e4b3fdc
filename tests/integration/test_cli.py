"""`mosaic` as a person runs it: real processes, a real tmux server of its own, the real node and bot."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fleet_support import clean_env, own_socket, tmux, wait_for

from fleet.files import is_locked
from fleet.home import Home

ROOT = Path(__file__).parents[2]
HEAVY = ("pydantic", "sqlalchemy", "structlog", "nio", "matplotlib", "aiohttp", "rich", "discord")

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@dataclass(frozen=True)
class Terminal:
    """Runs `mosaic` over one home."""

    home: Home

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bot.cli", *words],
            capture_output=True,
            text=True,
            timeout=90,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            env=clean_env(MOSAIC_HOME=str(self.home.root), **env),
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def end_node(home: Home) -> None:
    """End the node that holds the home's lock, by its pid."""
    if is_locked(home.node_lock):
        os.kill(int(home.node_lock.read_text()), signal.SIGTERM)
        wait_for(lambda: not is_locked(home.node_lock), "the node's end")


@pytest.fixture
def empty(tmp_path: Path) -> Terminal:
    return Terminal(Home(tmp_path / "home"))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Terminal, str]]:
    """A home made by `mosaic init`, its roster on a socket of its own; the stub agent runs."""
    with own_socket(f"mf-cli-{os.getpid()}-{secrets.token_hex(4)}") as socket:
        terminal = Terminal(Home(tmp_path_factory.mktemp("cli") / "home"))
        made = terminal.run("init", "--local-only")
        assert made.returncode == 0, made.stderr
        work = terminal.home.root / "work"
        terminal.home.roster.write_text(
            f"version: 1\ntransport: tmux\ntmux: {{socket_name: {socket}, holder_session: _holder}}\n"
            f"defaults: {{working_directory: {work}}}\nagents:\n"
            "  - {name: coder0, class: code, runtime: stub, alias: Cody}\n"
            "  - {name: shell0, class: code, runtime: custom, command: 'bash --norc'}\n"
            "  - {name: never0, class: code, runtime: stub}\n"
        )
        for name in ("coder0", "shell0"):
            done = terminal.run("fleet", "start", name, STUB_THINK_S="0.05")
            assert done.returncode == 0, done.stderr
        wait_for(lambda: "❯" in tmux(socket, "capture-pane", "-p", "-t", "=coder0:"), "the stub's prompt")
        assert is_locked(terminal.home.node_lock), "`fleet start` brings a node where none lives"
        end_node(terminal.home)
        try:
            yield terminal, socket
        finally:
            end_node(terminal.home)


@pytest.fixture(scope="module")
def running(seeded: tuple[Terminal, str]) -> Iterator[tuple[Terminal, str]]:
    """The bot over it, which brings the node; ended by pid."""
    terminal, socket = seeded
    env = clean_env(MOSAIC_HOME=str(terminal.home.root))
    with (terminal.home.root / "bot.log").open("wb") as out:
        argv = [sys.executable, "-m", "bot.cli", "bot", "run"]
        bot = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        wait_for(lambda: is_locked(terminal.home.node_lock), "the node")
        wait_for(lambda: terminal.run("ping").returncode == 0, "the bot")
        yield terminal, socket
    finally:
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(20) == 0


# --- without anything --------------------------------------------------------------------------------------


def test_help_at_every_level(empty: Terminal) -> None:
    for words in ([], ["-h"], ["fleet"], ["fleet", "-h"], ["fleet", "ps", "-h"], ["help", "agent", "send"]):
        done = empty.run(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout
    for program in ("bot", "node", "chat", "init", "config"):
        assert empty.run(program, "-h").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["flet", "ps"], 3, "Did you mean `fleet`?"),
        (["fleet", "statsu"], 3, "Did you mean `fleet status`?"),
        (["fleet", "ps", "--nope"], 3, "Usage: `mosaic fleet ps"),
        (["fleet", "ps"], 3, "does not exist"),
        (["ping"], 6, "mosaic bot run"),
        (["chat", "--room", "ops", "-m", "hi"], 6, "bot"),
        (["bot", "run"], 3, "There is no configuration"),
        (["bot", "walk"], 3, "usage: mosaic bot"),
        (["config", "check"], 3, "mosaic init"),
        (["init"], 3, "--local-only"),
        (["init", "--local-only", "--profile", "huge"], 3, "no preset"),
        (["--mosaic-home"], 3, "needs a folder"),
        (["agent", "comms-block", "x"], 1, "[mosaic] comms-block: no fleet roster at "),
    ],
)
def test_errors_are_one_paragraph_on_stderr(empty: Terminal, words: list[str], code: int, says: str) -> None:
    done = empty.run(*words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_home_may_be_named_anywhere(empty: Terminal, tmp_path: Path) -> None:
    there = tmp_path / "another home"
    assert empty.run("init", "--mosaic-home", str(there), "--local-only").returncode == 0
    assert (there / "bot" / "config.yaml").exists()
    assert not empty.home.root.exists()
    again = empty.run("init", "--local-only", f"--mosaic-home={there}")
    assert "kept" in again.stdout
    checked = empty.run("config", "check", "--mosaic-home", str(there))
    assert checked.returncode == 0
    assert "may talk to agents" in checked.stdout


def test_a_missing_tmux_is_said(empty: Terminal) -> None:
    done = empty.run("fleet", "ps", PATH="/nonexistent")
    assert done.returncode == 1
    assert "tmux is not installed" in done.stderr


# --- the fleet without node and bot ------------------------------------------------------------------------


def test_ps_text_and_json(seeded: tuple[Terminal, str]) -> None:
    terminal, socket = seeded
    text = terminal.run("fleet", "ps").stdout.splitlines()
    assert text[0].split()[:3] == ["NAME", "ALIAS", "RUNTIME"]
    assert any(line.startswith("coder0") and "Cody" in line for line in text)
    assert text[-1].endswith("3 agents")
    rows = {row["name"]: row for row in terminal.json("fleet", "ps")["agents"]}
    assert rows["coder0"]["socket"] == socket
    assert rows["coder0"]["pane_alive"] is True
    assert rows["coder0"]["runtime_seen"] == "stub"
    assert rows["never0"]["readiness"] == "dead"
    assert {row["name"] for row in json.loads(terminal.run("fleet", "ps", "--json=compat").stdout)} == set(
        rows
    )
    only = terminal.json("fleet", "ps", "--readiness", "dead")["agents"]
    assert [row["name"] for row in only] == ["never0"]


@pytest.mark.parametrize(
    "words",
    [["fleet", "ps"], ["agent", "tail", "coder0"], ["agent", "send", "coder0", "log fast"], ["fleet", "-h"]],
)
def test_the_quick_verbs_import_nothing_heavy(seeded: tuple[Terminal, str], words: list[str]) -> None:
    terminal, _ = seeded
    code = (
        "import sys; from bot.cli import main; code = main(sys.argv[2:]); sys.stdout.flush();"
        "print([m for m in sys.argv[1].split(',') if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(HEAVY), *words],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=clean_env(MOSAIC_HOME=str(terminal.home.root)),
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]"), done.stderr


def test_a_closed_pipe_is_quiet(seeded: tuple[Terminal, str]) -> None:
    terminal, _ = seeded
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m bot.cli fleet ps --json | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=clean_env(MOSAIC_HOME=str(terminal.home.root)),
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_tail_is_the_screen(seeded: tuple[Terminal, str]) -> None:
    terminal, _ = seeded
    assert "stub-agent · coder0" in terminal.run("agent", "tail", "coder0").stdout
    gone = terminal.run("agent", "tail", "never0")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "no session" in gone.stderr
    assert terminal.run("agent", "tail", "code").returncode == 1


def test_looking(seeded: tuple[Terminal, str]) -> None:
    terminal, socket = seeded
    assert terminal.run("agent", "--list").stdout.split() == ["coder0", "shell0", "never0"]
    assert socket in terminal.run("agent", "roster").stdout
    assert "process tree: stub" in terminal.run("fleet", "explain", "coder0").stdout
    block = terminal.run("fleet", "comms-block", "coder0").stdout
    assert block.startswith("# Fleet Comms")
    assert f"-L {socket} -s shell0" in block
    missing = terminal.run("agent", "comms-block", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith('[mosaic] comms-block: role "nobody" is not a member')
    assert terminal.run("fleet", "verify").returncode == 0
    assert "demo" in terminal.run("fleet", "profiles").stdout


def test_dangerous_needs_yes_and_hits_exactly_one(seeded: tuple[Terminal, str]) -> None:
    terminal, socket = seeded
    assert terminal.run("fleet", "start", "never0").returncode == 0
    refused = terminal.run("fleet", "stop", "never0")
    assert refused.returncode == 9
    assert "--yes" in refused.stderr
    assert "never0" in tmux(socket, "list-sessions", "-F", "#{session_name}")
    assert terminal.run("fleet", "stop", "never0", "--dry-run").returncode == 0
    assert terminal.run("fleet", "stop", "never0", "--yes").returncode == 0
    sessions = tmux(socket, "list-sessions", "-F", "#{session_name}").split()
    assert "never0" not in sessions
    assert {"coder0", "shell0", "_holder"} <= set(sessions)


def test_a_call_from_a_pane_acts_as_its_agent(seeded: tuple[Terminal, str], tmp_path: Path) -> None:
    terminal, socket = seeded
    out = tmp_path / "out"
    line = f"cd {ROOT}; for w in whoami 'fleet pause x'; do {sys.executable} -m bot.cli $w; echo rc=$?; done"
    tmux(socket, "send-keys", "-l", "-t", "=shell0:", f"({line}) > {out} 2>&1; touch {out}.done")
    tmux(socket, "send-keys", "-t", "=shell0:", "Enter")
    wait_for(Path(f"{out}.done").exists, "the calls in the pane")
    said = out.read_text()
    assert "agent:shell0" in said
    assert "rc=0" in said
    assert "not for agents" in said
    assert "rc=9" in said
    assert not terminal.home.paused.exists()


# --- with node and bot -------------------------------------------------------------------------------------


def test_send_is_proven(running: tuple[Terminal, str]) -> None:
    terminal, _ = running
    done = terminal.run("agent", "send", "coder0", "--verify", "say hello; $(touch x) `id` 'ü'")
    assert (done.returncode, done.stdout) == (0, "accepted\n")
    transcript = (terminal.home.run / "stub" / "coder0.jsonl").read_text()
    texts = [body["text"] for body in map(json.loads, transcript.splitlines()) if body["type"] == "user"]
    assert texts[-1].startswith("[operator:mosaic-cli -> ")
    assert texts[-1].endswith(":coder0] say hello; $(touch x) `id` 'ü'")
    found = terminal.json("agent", "send", "coder0", "again")
    assert found["verdict"] == "accepted"


def test_send_to_nobody(running: tuple[Terminal, str]) -> None:
    terminal, _ = running
    gone = terminal.run("agent", "send", "never0", "hi")
    assert gone.returncode == 1
    assert "nothing was queued" in gone.stderr
    assert not list((terminal.home.mailbox("never0") / "new").glob("*"))
    assert "Did you mean `coder0`?" in terminal.run("agent", "send", "cody", "hi").stderr
    assert terminal.run("agent", "send", "coder0").returncode == 3


def test_stop_turn_ends_a_running_turn(running: tuple[Terminal, str]) -> None:
    terminal, _ = running

    def status() -> object:
        return terminal.json("agent", "status", "coder0")["agents"][0]["state"]["status"]

    assert terminal.run("agent", "send", "coder0", "slow 60").returncode == 0
    wait_for(
        lambda: terminal.json("agent", "status", "coder0")["agents"][0]["state"]["status"] == "busy", "busy"
    )
    done = terminal.run("agent", "stop-turn", "coder0")
    assert (done.returncode, done.stdout) == (0, "Cody: ⏹ stopped.\n"), done.stderr
    wait_for(
        lambda: terminal.json("agent", "status", "coder0")["agents"][0]["state"]["status"] == "idle", "idle"
    )


def test_broadcast_done_in_part_names_who_failed(running: tuple[Terminal, str]) -> None:
    terminal, _ = running
    done = terminal.run("agent", "broadcast", "--yes", "--class", "code", "log all")
    assert done.returncode == 8
    assert "never0: never0 has no session" in done.stdout
    assert "coder0: taken" in done.stdout


def test_bot_verbs_go_through_its_socket(running: tuple[Terminal, str]) -> None:
    terminal, _ = running
    assert terminal.run("ping").stdout == "pong\n"
    assert terminal.json("status")["networks"]["local"]["state"] == "up"
    assert "ping" in terminal.run("audit", "tail", "-n", "50").stdout
    missing = terminal.run("escalation", "ack", "E-99")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no escalation E-99" in missing.stderr


def test_a_second_bot_is_refused(running: tuple[Terminal, str]) -> None:
    terminal, _ = running
    done = terminal.run("bot", "run")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_the_same_command_in_the_local_chat(running: tuple[Terminal, str]) -> None:
    terminal, _ = running
    done = terminal.run("chat", "--room", "ops", "-m", "!fleet ps --class code", "--wait", "30")
    assert done.returncode == 0, done.stderr
    texts = [json.loads(line).get("text", "") for line in done.stdout.splitlines()]
    assert any("coder0" in text and "3 agents" in text for text in texts)
