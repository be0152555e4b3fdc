"""What becomes of a message. Pure: facts in, one decision out; routing reads fields, never guesses."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from bot.roles import Role
from fleet.model import Envelope, MessageClass

_ADDRESS = re.compile(r"^@([a-z0-9][a-z0-9_-]{0,63})[:,]?\s+(.+)$", re.DOTALL)
_TWIN = re.compile(
    r"^(yes|no)\s+([a-z]{5})$|^(ack|done|snooze)\b(?:\s+(E-\d+))?(?:\s+(\S+))?$", re.IGNORECASE
)
_HANDLE = re.compile(r"^([a-z2-7]{12})(?:\.(\d+))?$")
_ESCALATION = re.compile(r"^E-(\d+)$")

# Reactions on an escalation's root, and what they stand for (20-messaging, Chat → agent).
ROOT_REACTIONS = {"✅": "ack", "🏁": "resolve", "💤": "snooze", "🔁": "raise"}


# --- from people -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """What is known of a person's message when it is judged."""

    text: str
    role: Role
    talk: bool
    mode: str  # ops | conversation | log | reports
    mentions_me: bool
    thread_escalation: int | None
    capable: bool  # False: notices, bots, bridged ghosts
    command_words: bool  # the text has the command prefix
    agents: Collection[str]
    orchestrator: str | None


@dataclass(frozen=True, slots=True)
class Ignore:
    reason: str
    audit: bool = False


@dataclass(frozen=True, slots=True)
class RunCommand:
    """``words`` is empty when the text itself holds the command."""

    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Talk:
    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class ThreadReply:
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Answer with one line and do nothing else."""

    text: str


ChatDecision: TypeAlias = Ignore | RunCommand | Talk | ThreadReply | Tell


def judge_chat(facts: ChatFacts) -> ChatDecision:
    """A person's message → what to do with it (30-bot Permissions, 20-messaging Chat → agent)."""
    text = facts.text.strip()
    if not facts.capable:
        return Ignore("not from a person")
    if facts.role is Role.NOBODY:
        return Ignore("nobody", audit=True)
    if not text:
        return Ignore("empty")
    if facts.command_words:
        return RunCommand()
    if twin := _TWIN.match(text):
        words = _twin_words(twin, facts.thread_escalation)
        if words:
            return RunCommand(words)
    if facts.thread_escalation is not None:
        return ThreadReply(facts.thread_escalation, text) if facts.talk else _no_talk()
    addressed = _ADDRESS.match(text)
    if addressed and addressed[1] in facts.agents:
        return Talk(addressed[1], addressed[2]) if facts.talk else _no_talk()
    if addressed and (near := get_close_matches(addressed[1], facts.agents, n=1, cutoff=0.8)):
        return Tell(f"There is no agent {addressed[1]}; nothing was sent. Did you mean @{near[0]}?")
    if facts.mode != "conversation" and not facts.mentions_me:
        return Ignore("not addressed")
    if not facts.talk:
        return _no_talk()
    if facts.orchestrator is None:
        return Tell(
            "⚠️ The roster has no orchestrator, so nobody is here to read this. Address an agent: @name text"
        )
    return Talk(facts.orchestrator, text)


def _no_talk() -> Tell:
    return Tell("🔒 Talking to agents needs the operator role; you are viewer. Ask an admin to add your id.")


def _twin_words(twin: re.Match[str], here: int | None) -> tuple[str, ...]:
    if twin[1]:
        return (twin[1].lower(), twin[2].lower())
    number = twin[4] or (f"E-{here}" if here is not None else None)
    if number is None:
        return ()
    verb = {"ack": "ack", "done": "resolve", "snooze": "snooze"}[twin[3].lower()]
    words = ("escalation", verb, number.upper())
    return (*words, twin[5]) if twin[5] and verb == "snooze" else words


# --- from agents -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """Into a person's conversation; ``number`` is the message it answers (None: the newest open one)."""

    handle: str
    number: int | None
    reaction: bool = False
    interim: bool = False


@dataclass(frozen=True, slots=True)
class Escalate:
    room: str | None


@dataclass(frozen=True, slots=True)
class IntoEscalation:
    number: int
    resolves: bool


@dataclass(frozen=True, slots=True)
class Log:
    """Folded into the log room, never a ping."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Traffic between agents: shown by a room's mirror level only."""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    pass


@dataclass(frozen=True, slots=True)
class Block:
    opened: bool


@dataclass(frozen=True, slots=True)
class PostInto:
    """A plain post in a configured room."""

    room: str


@dataclass(frozen=True, slots=True)
class Bury:
    """Cannot be delivered; ``reason`` is told to the operators."""

    reason: str


AgentDecision: TypeAlias = (
    Answer | Escalate | IntoEscalation | Log | Mirror | TurnEnded | Block | PostInto | Bury | Ignore
)


def judge_envelope(envelope: Envelope, rooms: Collection[str]) -> AgentDecision:
    """An agent's envelope → what to do with it. The destination decides first, then the class."""
    if envelope.kind == "turn-ended":
        return TurnEnded()
    if envelope.kind in ("block", "unblock"):
        return Block(opened=envelope.kind == "block")
    if envelope.mirror:
        return Mirror()
    if envelope.kind != "message":
        return Ignore(f"kind {envelope.kind}")
    address = envelope.dst.removeprefix("chat").removeprefix(":")
    if not envelope.dst.startswith("chat"):
        return Bury(f"destination {envelope.dst!r} is no chat address")
    kind = envelope.triage_class
    if address.startswith("task/"):
        return Bury("tasks come with the backlog; this version has none")
    if found := _ESCALATION.match(address):
        return IntoEscalation(int(found[1]), envelope.body.lstrip().lower().startswith("resolved:"))
    room = address.split("/", 1)[0]
    if room and room in rooms:
        return _by_class(kind, room)
    if handle := _HANDLE.match(address):
        number = int(handle[2]) if handle[2] else None
        return Answer(
            handle[1],
            number,
            reaction=kind is MessageClass.REACTION,
            interim=kind is MessageClass.TERMINAL_LOG,
        )
    if address:
        return Bury(f"address chat:{address} is no room, escalation or conversation")
    reply = _HANDLE.match(envelope.reply_to or "")
    if reply and kind in (MessageClass.HUMAN, MessageClass.REACTION):
        number = int(reply[2]) if reply[2] else None
        return Answer(reply[1], number, reaction=kind is MessageClass.REACTION)
    return _by_class(kind, None)


def _by_class(kind: MessageClass, room: str | None) -> AgentDecision:
    if kind is MessageClass.TERMINAL_LOG:
        return Log()
    if kind is MessageClass.ACTIONABLE:
        return Escalate(room)
    return PostInto(room or "")
