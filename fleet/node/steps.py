"""What to do next with the oldest message of a mailbox. Pure: one look at the agent in, one step out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from fleet.host.panes import Listing
from fleet.messages.mailbox import Mark
from fleet.model import Envelope, MessageClass, Pane
from fleet.node.turns import Track
from fleet.runtimes.base import Prompt, Screen

QUIET_S = 1.0  # a pane of a program without screens of ours must have been silent this long


@dataclass(frozen=True, slots=True)
class Look:
    """The agent now. ``screen`` is None where it could not be read; ``ours`` says that the draft in its
    prompt is the message at hand, typed by an earlier try of ours."""

    listing: Listing
    pane: Pane | None
    screen: Screen | None
    track: Track
    has_events: bool
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """Settled without a keystroke."""

    verdict: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Stays in the mailbox; nothing is typed."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Type:
    """Paste and submit; ``resume``: the text stands in the prompt already, only Enter is missing."""

    resume: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """Do what an operator asked for, past the queue: escape, reset, or set the task in flight."""

    what: str


Step: TypeAlias = Finish | Hold | Type | Control


def order(waiting: Iterable[Envelope]) -> list[Envelope]:
    """Oldest first; a stop before all, then other controls, then what may steer a running turn."""

    def rank(envelope: Envelope) -> int:
        if envelope.kind == "control":
            return 1 if envelope.data.get("keys") == "reset" else 0
        return 2 if envelope.now else 3

    return sorted(waiting, key=lambda envelope: (rank(envelope), envelope.id))


def next_step(envelope: Envelope, look: Look) -> Step:
    """The step for the message at the head of the queue (20-messaging, *Delivery*)."""
    if envelope.kind == "control":
        return _control(envelope, look)
    if envelope.message_class is MessageClass.TERMINAL_LOG:
        return Finish("accepted", "log")
    return _hold(envelope, look) or Type()


def settle_step(mark: Mark, look: Look, *, found: bool | None, looks: int) -> Step:
    """The step for a message that somebody began to type and did not settle (a crash).

    ``found``: it stands in the program's transcript since the mark (None: there is no transcript);
    ``looks`` counts how often this was asked, because a program writes its transcript a little later.
    """
    if found:
        return Finish("accepted", "transcript")
    if found is None:
        return Finish("unknown", "mark")
    held = _absent(look)
    if held:
        return held
    if look.screen is None or look.screen.prompt is Prompt.UNKNOWN:
        return Hold("unready")
    if look.ours:
        return Type(resume=True)
    if look.screen.prompt is not Prompt.IDLE or look.track.turn_open:
        return Hold("mark")  # a busy program may have it in its queue; nothing is certain yet
    if looks < 3:
        return Hold("mark")
    if mark.attempt >= 3:
        return Finish("unknown", "mark")
    return Type()


def _absent(look: Look) -> Hold | None:
    if look.listing is Listing.FAILED:
        return Hold("tmux")
    if look.pane is None:
        return Hold("nopane")
    if look.pane.dead:
        return Hold("dead")
    return None


def _hold(envelope: Envelope, look: Look) -> Hold | None:
    absent = _absent(look)
    if absent or look.pane is None:
        return absent
    screen = look.screen
    if screen is None:
        return Hold("tmux")
    if screen.prompt is Prompt.DIALOG or look.track.status == "blocked":
        return Hold("dialog")
    if screen.prompt is Prompt.DRAFT and not look.ours:
        return Hold("draft")
    if screen.prompt is Prompt.UNKNOWN:
        if look.has_events:
            return Hold("unready")
        idle_s = look.pane.idle_s
        return None if idle_s is None or idle_s >= QUIET_S else Hold("busy")
    if envelope.now:
        return None
    if look.track.turn_open:
        return Hold("turn" if look.track.tokens else "busy")
    if screen.prompt is Prompt.BUSY or screen.busy:
        return Hold("busy")
    return None


def _control(envelope: Envelope, look: Look) -> Step:
    if "task" in envelope.data:
        return Control("task")
    keys = envelope.data.get("keys")
    if keys not in {"escape", "reset"}:
        return Finish("unknown", "control")
    absent = _absent(look)
    if absent:
        return Finish("unknown", absent.evidence)  # a stop that comes hours later would hit another turn
    dialog = look.track.status == "blocked" or (
        look.screen is not None and look.screen.prompt is Prompt.DIALOG
    )
    if dialog:
        return Finish("unknown", "dialog")  # a key there would answer the question
    if keys == "escape":
        return Control("escape")
    return _hold(envelope, look) or Control("reset")
