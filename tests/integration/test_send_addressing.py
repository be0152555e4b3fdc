"""Whom the send tools take for an agent, what becomes of an address that is none, and long texts."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time

import pytest
from fleet_support import LiveFleet, tmux, wait_for

from fleet.messages.ids import new_id

ROSTERS = {
    "block": "version: 1\ntransport: tmux\ntmux:\n  socket_name: SOCKET\n"
    "agents:\n- name: 'coder0'\n  runtime: stub\n",
    "flow": "version: 1\ntransport: tmux\ntmux: {socketName: SOCKET}\n"
    "agents:\n  - {runtime: stub, name: coder0}\n",
    "json": '{"version": 1, "transport": "tmux", "tmux": {"socket_name": "SOCKET"}, '
    '"agents": [{"name": "coder0", "runtime": "stub"}]}\n',
}


@pytest.mark.parametrize("style", list(ROSTERS))
def test_an_agent_of_the_roster_needs_no_env_file(live: LiveFleet, style: str) -> None:
    """Its mail goes into its mailbox, on the socket that the roster names."""
    live.start("coder0")
    (live.home / "fleet" / "agents" / "coder0.env").unlink()
    (live.home / "fleet" / "roster.yaml").write_text(ROSTERS[style].replace("SOCKET", live.socket))
    assert live.send("-s", "coder0", "-m", "hi").returncode == 0
    assert [one["body"] for one in live.mail("coder0", "cur")] == ["hi"]
    gone = live.send("-s", "coder", "-m", "hi")
    assert gone.returncode == 1
    assert not (live.home / "fleet" / "run" / "mail" / "coder").exists()


def test_names_elsewhere_in_the_roster_are_no_agents(live: LiveFleet) -> None:
    (live.home / "fleet" / "roster.yaml").write_text(
        "version: 1\ntransport: tmux\nx-notes:\n  - name: outsider\n"
        "agents:\n  - {name: coder0, runtime: stub}\nx-more: {name: stranger}\n"
    )
    live.start("coder1")  # a server, so that the sessions can be
    for name in ("outsider", "stranger"):
        tmux(live.socket, "new-session", "-d", "-s", name, "-x", "80", "-y", "20", "cat")
        live.send("-L", live.socket, "-s", name, "-m", "hi")
        assert not (live.home / "fleet" / "run" / "mail" / name).exists()


def test_an_address_that_is_none_is_kept_among_the_dead(live: LiveFleet) -> None:
    (live.home / "bot" / "config.yaml").write_text("rooms:\n  ops: {mode: ops}\n")
    assert live.send("-s", "chat:nosuch", "-m", "hello").returncode == 1
    assert live.spool() == []
    dead = live.home / "fleet" / "run" / "spool" / "dead"
    (file,) = dead.glob("*.json")
    assert base64.b64decode(json.loads(file.read_text())["body_b64"]) == b"hello"
    assert "chat:nosuch" in (dead / f"{file.name}.reason").read_text()


def test_a_session_of_an_agents_name_on_another_server_is_not_the_agent(live: LiveFleet) -> None:
    """A person may call a session of their own like an agent; they may say who they are."""
    live.define("coder0", MOSAIC_TMUX_SOCKET="another-server")
    script = (
        f"cd '{live.home}'; tools/tmux/agent-send.sh -s chat -m hi -S operator:ana; echo $? >code; sleep 60"
    )
    live.start("coder1")
    tmux(live.socket, "new-session", "-d", "-s", "coder0", "-e", f"MOSAIC_HOME={live.home}", script)
    code = live.home / "code"
    assert wait_for(lambda: code.exists() and code.read_text().strip(), "the exit code") == "0"
    assert [one["src"] for one in live.spool()] == ["operator:ana"]


def test_flags_may_stand_together(live: LiveFleet) -> None:
    live.start("coder0")
    done = live.send("-vs", "coder0", "-mhello")
    assert (done.returncode, done.stdout.split()[0]) == (0, "accepted")
    raw = live.tool("send-message.sh", f"-L{live.socket}", "-vt=coder0", "-m", "raw")
    assert (raw.returncode, raw.stdout.split()[0]) == (0, "accepted")


def test_a_long_text_does_not_take_minutes_without_a_node(live: LiveFleet) -> None:
    live.start("coder0")
    body = "größe $(x) `y` \\ " * 18_000
    began = time.monotonic()
    assert live.send("-s", "coder0", stdin=body).returncode == 0
    assert time.monotonic() - began < 30
    (text,) = wait_for(lambda: live.transcript("coder0"), "the long prompt")
    assert text.partition("] ")[2] == body


def test_what_only_the_node_can_write_waits_for_it(live: LiveFleet) -> None:
    """Files that go with a message are lines of its text; without a node they must not get lost."""
    live.start("coder0")
    box = live.home / "fleet" / "run" / "mail" / "coder0"
    number = new_id()
    host = os.uname().nodename
    envelope = {
        "v": 1, "id": number, "ts": "2026-01-02T03:04:05Z", "src": f"{host}:x", "dst": f"{host}:coder0",
        "body_b64": base64.b64encode(b"look").decode(),
        "attachments": [{"name": "a.png", "path": "/x/a.png", "mime": "image/png", "size_bytes": 1}],
    }  # fmt: skip
    for name in ("tmp", "new", "cur", "dead"):
        (box / name).mkdir(parents=True, exist_ok=True)
    (box / "new" / f"{number}.json").write_text(json.dumps(envelope))
    done = live.send("-s", "coder0", "-m", "behind it")
    assert (done.returncode, done.stdout.strip()) == (0, "queued: no node")
    assert len(live.mail("coder0")) == 2
    assert live.transcript("coder0") == []


def test_a_missing_env_file_is_one_warning_and_nothing_else(live: LiveFleet) -> None:
    tool = live.home / "tools" / "fleet" / "start-agent-session.sh"
    env = live.env(HOME="/proc/nowhere", TMUX_TMPDIR="/proc/nowhere")  # it must fail before it starts
    done = subprocess.run([tool, "nobody"], capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "No such file" in line and ".env" in line]
    assert lines == []
