"""Declarations of the short commands and of the groups that need the bot: escalations, reports, audit."""

from __future__ import annotations

from bot.commands.registry import Command, Effect, Kind, Needs, Param, flag, option
from bot.roles import Role

_HERE = "bot.commands"
_FLEET = Needs.FLEET
_ACT = Effect.ACT

_NUMBER = Param("number", help="E-12 or 12")
_SCHEDULE = Param("id", help="the schedule's id")
_CODE = Param("code", help="the five letters of the question")
SHORT = (
    Command(
        ("help",),
        "what you can say; `help fleet ps` explains one",
        f"{_HERE}.help:help_command",
        needs=_FLEET,
        params=(Param("topic", Kind.REST, "a group or a command", required=False),),
        examples=("help", "help fleet ps"),
    ),
    Command(("ping",), "whether the bot answers", f"{_HERE}.general:ping", examples=("ping",)),
    Command(
        ("version",), "which version runs", f"{_HERE}.general:version", needs=_FLEET, examples=("version",)
    ),
    Command(
        ("whoami",),
        "who you are here and what that allows",
        f"{_HERE}.general:whoami",
        needs=_FLEET,
        examples=("whoami",),
    ),
    Command(
        ("status",),
        "the bot itself: networks, queues, fleet",
        f"{_HERE}.general:status",
        examples=("status",),
    ),
    Command(
        ("where",),
        "what became of a message or escalation",
        f"{_HERE}.waiting:where",
        params=(Param("id", help="M-118 or E-12"),),
        examples=("where M-118", "where E-12"),
    ),
    Command(
        ("waiting",),
        "who waits: people, held messages, open questions",
        f"{_HERE}.waiting:waiting",
        examples=("waiting",),
    ),
    Command(
        ("yes",),
        "confirm a question by its code",
        f"{_HERE}.dispatch:Dispatcher",
        effect=_ACT,
        params=(_CODE,),
        examples=("yes kqmra",),
        hidden=True,
    ),
    Command(
        ("no",),
        "refuse a question by its code",
        f"{_HERE}.dispatch:Dispatcher",
        effect=_ACT,
        params=(_CODE,),
        examples=("no kqmra",),
        hidden=True,
    ),
)

ESCALATION_GROUP = (
    Command(
        ("escalation", "list"),
        "the open ones",
        f"{_HERE}.escalation:list_open",
        examples=("escalation list",),
    ),
    Command(
        ("escalation", "show"),
        "one with its history",
        f"{_HERE}.escalation:show",
        params=(_NUMBER,),
        examples=("escalation show E-12",),
    ),
    Command(
        ("escalation", "ack"),
        "take it: it is not raised again",
        f"{_HERE}.escalation:ack",
        role=Role.OPERATOR,
        effect=_ACT,
        params=(_NUMBER,),
        examples=("escalation ack E-12",),
    ),
    Command(
        ("escalation", "resolve"),
        "close it, with a reason",
        f"{_HERE}.escalation:resolve",
        role=Role.OPERATOR,
        effect=_ACT,
        params=(_NUMBER, Param("reason", Kind.REST, "why", required=False)),
        examples=("escalation resolve E-12 password set",),
    ),
    Command(
        ("escalation", "snooze"),
        "quiet for a while (30m, 1h, 1d; at most 7d)",
        f"{_HERE}.escalation:snooze",
        role=Role.OPERATOR,
        effect=_ACT,
        params=(_NUMBER, Param("time", help="30m, 1h, 2d", required=False, default="1h")),
        examples=("escalation snooze E-12 3h",),
    ),
)

TIMES_GROUP = (
    Command(
        ("report", "now"),
        "post a report now",
        f"{_HERE}.times:report_now",
        role=Role.OPERATOR,
        effect=_ACT,
        params=(
            Param("report", Kind.CHOICE, "which", choices=("readiness",)),
            option("room", "where; default: the room for reports"),
        ),
        examples=("report now readiness",),
    ),
    Command(
        ("schedule", "list"),
        "what is posted when",
        f"{_HERE}.times:schedule_list",
        examples=("schedule list",),
    ),
    Command(
        ("schedule", "next"), "what comes next", f"{_HERE}.times:schedule_next", examples=("schedule next",)
    ),
    Command(
        ("schedule", "run"),
        "run one now, besides its times",
        f"{_HERE}.times:schedule_run",
        role=Role.OPERATOR,
        effect=_ACT,
        params=(_SCHEDULE,),
        examples=("schedule run morning",),
    ),
    Command(
        ("schedule", "pause"),
        "stop one until `--off`",
        f"{_HERE}.times:schedule_pause",
        role=Role.OPERATOR,
        effect=_ACT,
        params=(_SCHEDULE, flag("off", "let it run again")),
        examples=("schedule pause morning", "schedule pause morning --off"),
    ),
)

AUDIT_GROUP = (
    Command(
        ("audit", "tail"),
        "the last entries",
        f"{_HERE}.audit:tail",
        role=Role.OPERATOR,
        params=(option("lines", "how many, 1 to 500", Kind.NUMBER, short="n", default=10),),
        examples=("audit tail -n 20",),
    ),
    Command(
        ("audit", "verify"),
        "whether the chain of entries is whole",
        f"{_HERE}.audit:verify",
        role=Role.OPERATOR,
        examples=("audit verify",),
    ),
)
