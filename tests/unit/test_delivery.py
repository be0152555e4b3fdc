"""The next step for a message: what is typed when, and what is only said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.host.panes import Listing
from fleet.messages.ids import id_of
from fleet.messages.inject import matcher, wire_text
from fleet.messages.mailbox import Mark
from fleet.model import AgentState, Envelope, MessageClass, Pane
from fleet.node.restart import next_delay
from fleet.node.steps import Control, Finish, Hold, Look, Type, next_step, order, settle_step
from fleet.node.turns import Track
from fleet.runtimes.base import Prompt, Screen
from fleet.runtimes.stub import StubRuntime

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PANE = Pane("coder0", "%1", 7, dead=False, in_mode=False, command="x", idle_s=5.0)
IDLE = Look(Listing.OK, PANE, Screen(Prompt.IDLE, busy=False), Track(), has_events=True)
MARK = Mark("%1", 7, NOW, 0)


def message(**more: Any) -> Envelope:
    fields: dict[str, Any] = {"id": id_of(1, 0), "ts": NOW, "tenant_id": "t", "host": "h"}
    return Envelope(**(fields | {"src": "h:a", "dst": "h:coder0", "body": "hello"} | more))


def state(status: str) -> AgentState:
    return AgentState(status, NOW, "event", "n")


OPEN = Track(state("busy"), turn_open=True)
ASKED = Track(state("busy"), turn_open=True, tokens=("abcdefghijkl.7",))
BLOCKED = Track(state("blocked"))


@pytest.mark.parametrize(
    ("look", "step", "step_now"),
    [
        (IDLE, Type(), Type()),
        (replace(IDLE, listing=Listing.FAILED), Hold("tmux"), Hold("tmux")),
        (replace(IDLE, pane=None, screen=None), Hold("nopane"), Hold("nopane")),
        (replace(IDLE, pane=replace(PANE, dead=True), screen=None), Hold("dead"), Hold("dead")),
        (replace(IDLE, screen=None), Hold("tmux"), Hold("tmux")),
        (replace(IDLE, screen=Screen(Prompt.DIALOG)), Hold("dialog"), Hold("dialog")),
        (replace(IDLE, track=BLOCKED), Hold("dialog"), Hold("dialog")),
        (replace(IDLE, screen=Screen(Prompt.DRAFT, draft="x")), Hold("draft"), Hold("draft")),
        (replace(IDLE, screen=Screen(Prompt.UNKNOWN)), Hold("unready"), Hold("unready")),
        (replace(IDLE, track=OPEN), Hold("busy"), Type()),
        (replace(IDLE, track=ASKED), Hold("turn"), Type()),
        (replace(IDLE, screen=Screen(Prompt.BUSY, busy=True)), Hold("busy"), Type()),
        (replace(IDLE, screen=Screen(Prompt.UNKNOWN), has_events=False), Type(), Type()),
        (
            replace(IDLE, pane=replace(PANE, idle_s=0.0), screen=Screen(Prompt.UNKNOWN), has_events=False),
            Hold("busy"),
            Hold("busy"),
        ),
    ],
)
def test_what_is_typed_when(look: Look, step: object, step_now: object) -> None:
    assert next_step(message(), look) == step
    assert next_step(message(now=True), look) == step_now


def test_a_log_line_is_never_typed() -> None:
    assert next_step(message(message_class=MessageClass.TERMINAL_LOG), IDLE) == Finish("accepted", "log")


def test_controls_go_first_and_a_late_stop_is_not_kept() -> None:
    stop = message(id=id_of(9, 0), kind="control", data={"keys": "escape"})
    reset = message(id=id_of(3, 0), kind="control", data={"keys": "reset"})
    steer, plain = message(id=id_of(5, 0), now=True), message(id=id_of(2, 0))
    assert order([plain, steer, reset, stop]) == [stop, reset, steer, plain]
    assert next_step(stop, replace(IDLE, track=ASKED)) == Control("escape")
    assert next_step(stop, replace(IDLE, track=BLOCKED)) == Finish("unknown", "dialog")
    assert next_step(stop, replace(IDLE, pane=None)) == Finish("unknown", "nopane")
    assert next_step(reset, replace(IDLE, track=OPEN)) == Hold("busy")


@pytest.mark.parametrize(
    ("look", "found", "looks", "step"),
    [
        (IDLE, True, 1, Finish("accepted", "transcript")),
        (IDLE, None, 9, Finish("unknown", "mark")),
        (IDLE, False, 1, Hold("mark")),
        (IDLE, False, 3, Type()),
        (replace(IDLE, track=OPEN), False, 9, Hold("mark")),
        (replace(IDLE, screen=Screen(Prompt.BUSY, busy=True)), False, 9, Hold("mark")),
        (replace(IDLE, screen=Screen(Prompt.DRAFT, draft="x"), ours=True), False, 1, Type(resume=True)),
        (replace(IDLE, screen=Screen(Prompt.DRAFT, draft="x")), False, 9, Hold("mark")),
        (replace(IDLE, pane=None, screen=None), False, 9, Hold("nopane")),
    ],
)
def test_settling_after_a_crash(look: Look, found: bool | None, looks: int, step: object) -> None:
    assert settle_step(MARK, look, found=found, looks=looks) == step


def test_it_is_not_tried_for_ever() -> None:
    assert settle_step(replace(MARK, attempt=3), IDLE, found=False, looks=3) == Finish("unknown", "mark")


def test_proof_goes_by_the_token_never_by_the_body() -> None:
    src = "matrix:@ana:hs/abcdefghijkl.7"
    asked = message(src=src, token="abcdefghijkl.7", message_class=MessageClass.HUMAN)
    wire = wire_text(asked)
    assert wire == f"[{src} -> h:coder0 class=human] hello"
    assert matcher(asked, wire)(wire.replace(" -> ", "\n  -> "))
    assert not matcher(asked, wire)("[matrix:@ana:hs/abcdefghijkl.8 -> h:coder0 class=human] hello")
    assert not matcher(asked, wire)("abcdefghijkl.7 hello")
    plain = message(body="tab\there\nand more")
    assert matcher(plain, wire_text(plain))("queued\n\n[h:a -> h:coder0] tab    here and\n more")


def test_a_reaction_is_one_line() -> None:
    assert wire_text(message(body="👍\n\nx", message_class=MessageClass.REACTION)).endswith("] 👍 x")


def test_stub_screens() -> None:
    rule, stub = "─" * 40, StubRuntime()

    def read(*inside: str, status: str = "idle", above: str = "") -> Screen:
        return stub.read_screen(
            "\n".join([above, rule, *inside, rule, f"  stub · coder0 · m · {status}", "", ""])
        )

    assert read("❯ ").prompt is Prompt.IDLE
    assert read("❯ ", status="busy · esc to interrupt").prompt is Prompt.BUSY
    draft = read("❯ [h:a -> h:b] one", "  two")
    assert draft.prompt is Prompt.DRAFT
    assert stub.shows(draft, "[h:a -> h:b] one\ntwo")
    assert not stub.shows(draft, "[h:a -> h:b] one\ntwo\nthree")
    long = "\n".join(f"line {n}" for n in range(30))
    shown = read("❯ … 19 lines above", *(f"  line {n}" for n in range(19, 30)))
    assert stub.shows(shown, long)
    assert not stub.shows(shown, long + "!")
    dialog = read(" Permission needed", " rm -rf", " ❯ 1. Allow", "   2. Deny", " Enter to confirm")
    assert (dialog.prompt, dialog.reason, dialog.options) == (Prompt.DIALOG, "rm -rf", ("allow", "deny"))
    assert stub.read_screen("$ ls\n").prompt is Prompt.UNKNOWN
    assert stub.read_screen("").prompt is Prompt.UNKNOWN


def test_back_off_doubles_and_ends() -> None:
    starts: list[float] = []
    waits = []
    now_s = 0.0
    while (wait_s := next_delay(starts, now_s)) is not None:
        waits.append(wait_s)
        now_s += wait_s
        starts.append(now_s)
    assert waits == [5, 10, 20, 40, 80]
    assert next_delay(starts, now_s + 1800) == 5
