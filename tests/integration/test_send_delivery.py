"""Delivery into panes by the send tools themselves, where no node lives."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

from fleet_support import LiveFleet, tmux, wait_for

NASTY = "$(touch /tmp/no) `id` \"q\" 'q' \\ & ; | * ? ~ !! #x\n\nsecond, größe 日本語 👩‍💻\tend"


def test_a_message_reaches_the_agent_byte_for_byte(live: LiveFleet) -> None:
    live.start("coder0")
    done = live.send("-s", "coder0", "-m", NASTY, "-v")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accepted screen ")
    wait_for(lambda: live.transcript("coder0"), "the prompt in the transcript")
    (text,) = live.transcript("coder0")
    assert re.fullmatch(r"\[operator:mosaic-cli -> \S+:coder0\] ", text[: text.index("] ") + 2])
    assert text[text.index("] ") + 2 :] == NASTY
    assert [one["body"] for one in live.mail("coder0", "cur")] == [NASTY]
    assert not live.mail("coder0")
    assert not tmux(live.socket, "list-buffers")


def test_twenty_kilobytes_arrive_whole(live: LiveFleet) -> None:
    live.start("coder0")
    body = "\n".join(f"line {number} é😀 $(x) \\ ;" + "z" * 50 for number in range(280))
    assert len(body.encode()) > 20_000
    assert live.send("-s", "coder0", stdin=body).returncode == 0
    (text,) = wait_for(lambda: live.transcript("coder0"), "the long prompt")
    assert text.partition("] ")[2] == body


def test_control_characters_do_not_reach_the_pane(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "a\x1b[201~\rb\x03\x1b]0;t\x07c\u202ed")
    (text,) = wait_for(lambda: live.transcript("coder0"), "the prompt")
    assert text.partition("] ")[2] == "a\nbc\\u202ed"


def test_no_session_means_nothing_queued(live: LiveFleet) -> None:
    live.define("coder0")
    done = live.send("-s", "coder0", "-m", "hi")
    assert done.returncode == 1
    assert "no session 'coder0'" in done.stderr
    assert not live.mail("coder0")


def test_no_prefix_matching(live: LiveFleet) -> None:
    live.start("coder0")
    assert live.send("-L", live.socket, "-s", "coder", "-m", "hi").returncode == 1
    assert live.tool("send-message.sh", "-L", live.socket, "-t", "coder", "-m", "hi").returncode == 1
    assert live.transcript("coder0") == []


def test_busy_holds_and_the_next_send_delivers_in_order(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "hang 600")
    wait_for(lambda: "Working…" in live.screen("coder0"), "the work")
    done = live.send("-s", "coder0", "-m", "first")
    assert (done.returncode, done.stdout.strip()) == (0, "queued: no node")
    assert [one["body"] for one in live.mail("coder0")] == ["first"]
    tmux(live.socket, "send-keys", "-t", "=coder0:", "Escape")
    wait_for(lambda: "idle" in live.screen("coder0"), "the end of the work")
    wait_for(
        lambda: live.send("-s", "coder0", "-m", "second").returncode == 0 and not live.mail("coder0"), "both"
    )
    bodies = [text.partition("] ")[2] for text in live.transcript("coder0")[1:]]
    assert bodies[:2] == ["first", "second"]


def test_a_dialog_gets_nothing(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "block may I")
    wait_for(lambda: "Permission needed" in live.screen("coder0"), "the dialog")
    assert live.send("-s", "coder0", "-m", "yes").stdout.strip() == "queued: no node"
    assert "Permission needed" in live.screen("coder0")
    assert len(live.transcript("coder0")) == 1
    assert [one["body"] for one in live.mail("coder0")] == ["yes"]


def test_a_foreign_draft_is_never_submitted(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "send-keys", "-t", "=coder0:", "-l", "half a thought")
    wait_for(lambda: "half a thought" in live.screen("coder0"), "the draft")
    assert live.send("-s", "coder0", "-m", "hi").stdout.strip() == "queued: no node"
    assert live.transcript("coder0") == []
    assert "half a thought" in live.screen("coder0")


def test_copy_mode_is_left(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "copy-mode", "-t", "=coder0:")
    assert live.send("-s", "coder0", "-m", "hi").returncode == 0
    wait_for(lambda: live.transcript("coder0"), "the prompt")


def test_a_log_line_is_not_typed(live: LiveFleet) -> None:
    live.start("coder0")
    done = live.send("-s", "coder0", "-C", "terminal-log", "-m", "note", "-v")
    assert done.stdout.startswith("accepted log")
    assert live.transcript("coder0") == []
    assert [one["body"] for one in live.mail("coder0", "cur")] == ["note"]


def test_a_mark_without_verdict_is_left_to_the_node(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "one")
    box = live.home / "fleet" / "run" / "mail" / "coder0"
    (done,) = box.glob("cur/*.json")
    done.rename(box / "new" / done.name)
    (box / "cur" / f"{done.stem}.result").unlink()
    (box / "cur" / f"{done.stem}.typing").write_text("{}")
    assert live.send("-s", "coder0", "-m", "two").stdout.strip() == "queued: no node"
    assert [text.partition("] ")[2] for text in live.transcript("coder0")] == ["one"]


def test_while_a_node_lives_the_tool_only_queues(live: LiveFleet) -> None:
    live.start("coder0")
    with (live.home / "fleet" / "run" / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sender = subprocess.Popen(
            [live.home / "tools" / "tmux" / "agent-send.sh", "-s", "coder0", "-m", "hi", "-v"],
            env=live.env(),
            stdout=subprocess.PIPE,
            text=True,
        )
        (mail,) = wait_for(lambda: live.mail("coder0"), "the mail")
        assert {"v": 1, "class": None, "mirror": False, "body": "hi"}.items() <= mail.items()
        assert live.transcript("coder0") == []
        result = live.home / "fleet" / "run" / "mail" / "coder0" / "cur" / f"{mail['id']}.result"
        result.write_text("draft screen 12\n")
        out, _ = sender.communicate(timeout=30)
    assert sender.returncode == 2
    assert out.startswith("draft screen 12")


def test_a_lock_holder_that_dies_does_not_stop_the_mail(live: LiveFleet) -> None:
    live.start("coder0")
    lock = live.home / "fleet" / "run" / "lock" / "coder0"
    code = (
        "import fcntl,sys;f=open(sys.argv[1],'a');fcntl.flock(f,2);print('held',flush=True);sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    sender = subprocess.Popen(
        [live.home / "tools" / "tmux" / "agent-send.sh", "-s", "coder0", "-m", "hi"],
        env=live.env(),
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: live.mail("coder0"), "the mail")
    assert live.transcript("coder0") == []
    holder.kill()
    holder.communicate()
    assert sender.wait(30) == 0
    wait_for(lambda: live.transcript("coder0"), "the delivery")


def test_five_at_once_arrive_once_each(live: LiveFleet) -> None:
    live.start("coder0", STUB_THINK_S="0.01")
    tool = live.home / "tools" / "tmux" / "agent-send.sh"
    bodies = {f"message {number}" for number in range(5)}
    senders = [
        subprocess.Popen([tool, "-s", "coder0", "-m", body], env=live.env()) for body in sorted(bodies)
    ]
    assert [sender.wait(60) for sender in senders] == [0] * 5
    wait_for(
        lambda: live.send("-s", "coder0", "-m", "last").returncode == 0 and not live.mail("coder0"), "all"
    )
    wait_for(lambda: "idle" in live.screen("coder0"), "quiet")
    arrived = [text.partition("] ")[2] for text in live.transcript("coder0")]
    assert sorted(text for text in arrived if text != "last") == sorted(bodies)


def test_other_sessions_get_a_guarded_paste(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "new-session", "-d", "-s", "visitor", "-x", "80", "-y", "20", "cat")
    assert (
        live.send("-L", live.socket, "-s", "visitor", "-S", "a:b", "-n", "h", "-m", "hello").returncode == 0
    )
    wait_for(lambda: live.screen("visitor").count("[a:b -> h:visitor] hello") == 2, "the line and its echo")
    assert not (live.home / "fleet" / "run" / "mail" / "visitor").exists()


def test_raw_text_has_its_first_character_defused(live: LiveFleet) -> None:
    live.start("coder0")
    assert live.tool("send-message.sh", "-L", live.socket, "-t", "=coder0", "-m", "/clear").returncode == 0
    wait_for(lambda: "A new session" in live.screen("coder0") or live.transcript("coder0"), "a reaction")


def test_a_dead_pane_is_refused_and_the_server_lives(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "new-session", "-d", "-s", "dead", "-x", "80", "-y", "20", "sleep 600")
    tmux(live.socket, "set-option", "-w", "-t", "=dead:", "remain-on-exit", "on")
    _, pid = live.pane("dead")
    os.kill(pid, 15)
    wait_for(
        lambda: tmux(live.socket, "list-panes", "-t", "=dead:", "-F", "#{pane_dead}").strip() == "1",
        "the end",
    )
    done = live.send("-L", live.socket, "-s", "dead", "-m", "hi")
    assert done.returncode == 1
    assert "dead" in done.stderr
    assert "coder0" in tmux(live.socket, "list-sessions", "-F", "#{session_name}")
    assert not tmux(live.socket, "list-buffers")


STUBBORN = """#!/bin/bash
stty -echo -icanon -icrnl
printf '> '
while IFS= read -rN1 c; do [ "$c" = $'\\r' ] || printf %s "$c"; done
"""


def test_a_prompt_that_swallows_enter_is_a_draft(live: LiveFleet, tmp_path: Path) -> None:
    live.start("coder0")
    program = tmp_path / "stubborn"
    program.write_text(STUBBORN)
    program.chmod(0o755)
    tmux(live.socket, "new-session", "-d", "-s", "stubborn", "-x", "80", "-y", "20", str(program))
    wait_for(lambda: ">" in live.screen("stubborn"), "its prompt")
    done = live.tool(
        "send-message.sh", "-L", live.socket, "-t", "stubborn", "-m", "please take this", "-r", "1"
    )
    assert done.returncode == 2
    assert "please take this" in live.screen("stubborn")
