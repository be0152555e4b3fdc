"""The node killed at each step of a delivery: what it marked is settled, never lost and never doubled."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

from node_harness import Fleet, until

from fleet.messages import mailbox
from fleet.messages.inject import wire_text


def begun(fleet: Fleet, body: str) -> tuple[str, str]:
    """A message whose deliverer died after the mark: its id and wire text."""
    envelope = fleet.put("coder0", body)
    pane, pid = fleet.tmux("display-message", "-p", "-t", "=coder0:0.0", "#{pane_id} #{pane_pid}").split()
    transcript = fleet.home.run / "stub" / "coder0.jsonl"
    offset = transcript.stat().st_size if transcript.exists() else 0
    mark = mailbox.Mark(pane, int(pid), datetime.now(UTC), offset)
    mailbox.mark(fleet.home.mailbox("coder0"), envelope.id, mark)
    return envelope.id, wire_text(envelope)


def settled_as(fleet: Fleet, number: str) -> str:
    box = fleet.home.mailbox("coder0")
    until(lambda: mailbox.is_settled(box, number), why="the settlement")
    receipt = mailbox.result(box, number)
    assert receipt is not None
    return receipt.verdict


def test_died_between_mark_and_paste(fleet: Fleet) -> None:
    fleet.start("coder0")
    number, wire = begun(fleet, "hello")
    fleet.start_node()
    assert settled_as(fleet, number) == "accepted"
    assert fleet.took("coder0") == [wire]


def test_died_between_paste_and_enter(fleet: Fleet) -> None:
    fleet.start("coder0")
    number, wire = begun(fleet, "hello\nworld")
    fleet.tmux("load-buffer", "-b", "x", "-", text=wire)
    fleet.tmux("paste-buffer", "-dpr", "-b", "x", "-t", "=coder0:0.0")
    until(lambda: "world" in fleet.screen("coder0"))
    fleet.start_node()
    assert settled_as(fleet, number) == "accepted"
    assert fleet.took("coder0") == [wire]


def test_died_after_enter(fleet: Fleet) -> None:
    fleet.start("coder0")
    number, wire = begun(fleet, "hello")
    fleet.tmux("load-buffer", "-b", "x", "-", text=wire)
    fleet.tmux("paste-buffer", "-dpr", "-b", "x", "-t", "=coder0:0.0")
    fleet.tmux("send-keys", "-t", "=coder0:0.0", "Enter")
    until(lambda: fleet.took("coder0"))
    fleet.start_node()
    assert settled_as(fleet, number) == "accepted"
    assert fleet.took("coder0") == [wire]


def test_kill_nine_at_any_moment_loses_and_doubles_nothing(fleet: Fleet) -> None:
    fleet.start("coder0", STUB_THINK_S="0.02")
    rng = random.Random(7)
    count = 12
    for number in range(count):
        fleet.put("coder0", f"m{number:02}")
        time.sleep(0.002)
    box = fleet.home.mailbox("coder0")
    for _ in range(6):
        node = fleet.start_node()
        left = len(mailbox.pending(box))
        if not left:
            fleet.kill(node)
            break
        until(lambda left=left: len(mailbox.pending(box)) < left or list((box / "cur").glob("*.typing")))
        time.sleep(rng.uniform(0, 0.25))
        fleet.kill(node)
    fleet.start_node()
    until(lambda: not mailbox.pending(box), why="an empty mailbox", limit_s=120)
    took = [text.split("] ")[1] for text in fleet.took("coder0")]
    assert took == [f"m{number:02}" for number in range(count)]


def test_a_question_of_an_earlier_run_is_closed_and_asked_anew(fleet: Fleet) -> None:
    fleet.start("coder0")
    node = fleet.start_node()
    fleet.settled("coder0", fleet.put("coder0", "stub block may I"))
    until(lambda: fleet.told("block"))
    until(lambda: fleet.state("coder0").get("status") == "blocked")
    fleet.kill(node)
    fleet.start_node()
    closed = until(lambda: fleet.told("unblock"), why="the old question closed")
    assert closed[0].data["reason"] == "expired, not run"
    again = until(lambda: fleet.told("block")[1:], why="the dialog that still stands")
    assert again[0].data["source"] == "screen"
    assert again[0].data["node_start"] != fleet.told("block")[0].data["node_start"]
    fleet.tmux("send-keys", "-t", "=coder0:0.0", "y")
    until(lambda: len(fleet.told("unblock")) == 2, why="the answer seen")
