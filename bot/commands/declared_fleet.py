"""Declarations of the groups `fleet` and `agent`: they work from files and tmux, with or without the bot."""

from __future__ import annotations

from bot.commands.registry import Command, Effect, Kind, Needs, Param, flag, option
from bot.roles import Role

_HERE = "bot.commands"
_FLEET = Needs.FLEET
_ACT, _DANGEROUS = Effect.ACT, Effect.DANGEROUS
_CLASSES = ("terminal-log", "actionable", "human", "reaction")
_READINESS = ("working", "available", "stuck", "stale", "dead", "unknown")


def _agent(help: str = "session name of an agent", *, required: bool = True) -> Param:
    return Param("name", Kind.AGENT, help, required=required)


_FILTERS = (
    option("class", "only agents of this class"),
    option("readiness", "only this readiness", Kind.CHOICE, choices=_READINESS),
    option("host", "only this host", Kind.HOST),
    option("tenant", "only this tenant"),
)

FLEET_GROUP = (
    Command(
        ("fleet", "ps"),
        "every agent in one table",
        f"{_HERE}.fleet:ps",
        needs=_FLEET,
        params=(*_FILTERS, flag("wide", "the full table")),
        examples=("fleet ps", "fleet ps --class code --readiness stuck"),
    ),
    Command(
        ("fleet", "explain"),
        "which evidence led to a verdict",
        f"{_HERE}.fleet:explain",
        needs=_FLEET,
        params=(_agent(),),
        examples=("fleet explain coder0",),
    ),
    Command(
        ("fleet", "status"),
        "the fleet in a few lines",
        f"{_HERE}.fleet:status",
        needs=_FLEET,
        examples=("fleet status",),
    ),
    Command(
        ("fleet", "verify"),
        "check roster, socket, tools, node; says the mend",
        f"{_HERE}.verify:verify",
        needs=_FLEET,
        examples=("fleet verify",),
    ),
    Command(
        ("fleet", "start"),
        "start one agent, or all that are not running",
        f"{_HERE}.fleet_run:start",
        f"{_HERE}.fleet_run:plan_start",
        role=Role.OPERATOR,
        effect=_ACT,
        needs=_FLEET,
        params=(_agent(required=False),),
        examples=("fleet start", "fleet start coder0"),
    ),
    Command(
        ("fleet", "stop"),
        "end the session of one agent, or of all",
        f"{_HERE}.fleet_run:stop",
        f"{_HERE}.fleet_run:plan_stop",
        role=Role.OPERATOR,
        effect=_DANGEROUS,
        needs=_FLEET,
        params=(_agent(required=False),),
        examples=("fleet stop coder0", "fleet stop"),
    ),
    Command(
        ("fleet", "restart"),
        "end and start one agent, or all",
        f"{_HERE}.fleet_run:restart",
        f"{_HERE}.fleet_run:plan_restart",
        role=Role.OPERATOR,
        effect=_DANGEROUS,
        needs=_FLEET,
        params=(_agent(required=False),),
        examples=("fleet restart coder0",),
    ),
    Command(
        ("fleet", "pause"),
        "hold dispatch and merges; people can still talk",
        f"{_HERE}.fleet_run:pause",
        f"{_HERE}.fleet_run:plan_pause",
        role=Role.OPERATOR,
        effect=_ACT,
        needs=_FLEET,
        params=(Param("reason", Kind.REST, "why", required=False),),
        examples=('fleet pause "release freeze"',),
    ),
    Command(
        ("fleet", "resume"),
        "end a pause",
        f"{_HERE}.fleet_run:resume",
        f"{_HERE}.fleet_run:plan_resume",
        role=Role.OPERATOR,
        effect=_DANGEROUS,
        needs=_FLEET,
        examples=("fleet resume",),
    ),
    Command(
        ("fleet", "profiles"),
        "the rosters that come along",
        f"{_HERE}.fleet:profiles",
        needs=_FLEET,
        examples=("fleet profiles",),
    ),
    Command(
        ("fleet", "comms-block"),
        "how a role reaches its peers and people",
        f"{_HERE}.comms:comms_block",
        needs=_FLEET,
        params=(_agent(required=False), option("host", "as seen from this host", Kind.HOST)),
        examples=("fleet comms-block coder0",),
        aliases=(("agent", "comms-block"),),
    ),
)

AGENT_GROUP = (
    Command(
        ("agent", "send"),
        "words into an agent's pane, with a receipt",
        f"{_HERE}.agent:send",
        f"{_HERE}.agent:plan_send",
        role=Role.OPERATOR,
        effect=_ACT,
        needs=_FLEET,
        params=(
            _agent(),
            Param("text", Kind.REST, "what to say"),
            option("class", "triage class", Kind.CHOICE, short="C", choices=_CLASSES),
            flag("verify", "print accepted, draft, held or unknown"),
            flag("now", "also into a running turn"),
        ),
        examples=("agent send coder0 run the tests", "agent send coder0 --verify hello"),
    ),
    Command(
        ("agent", "broadcast"),
        "the same words to many agents",
        f"{_HERE}.agent:broadcast",
        f"{_HERE}.agent:plan_broadcast",
        role=Role.OPERATOR,
        effect=_DANGEROUS,
        needs=_FLEET,
        params=(
            Param("text", Kind.REST, "what to say"),
            option("class", "only agents of this class"),
        ),
        examples=("agent broadcast --class code stop at the next commit",),
    ),
    Command(
        ("agent", "tail"),
        "the last lines of an agent's screen",
        f"{_HERE}.agent_look:tail",
        needs=_FLEET,
        params=(_agent(), option("lines", "how many, 1 to 2000", Kind.NUMBER, short="n", default=40)),
        examples=("agent tail coder0", "agent tail coder0 -n 80"),
    ),
    Command(
        ("agent", "roster"),
        "the agents of the roster",
        f"{_HERE}.agent_look:roster",
        needs=_FLEET,
        examples=("agent roster",),
    ),
    Command(
        ("agent", "list"),
        "the agents' names alone",
        f"{_HERE}.agent_look:names",
        needs=_FLEET,
        examples=("agent --list",),
        aliases=(("agent", "--list"),),
        hidden=True,
    ),
    Command(
        ("agent", "status"),
        "one agent or all, short",
        f"{_HERE}.agent_look:status",
        needs=_FLEET,
        params=(_agent(required=False),),
        examples=("agent status coder0",),
    ),
    Command(
        ("agent", "stop-turn"),
        "Escape into an agent's running turn, at once",
        f"{_HERE}.agent:stop_turn",
        f"{_HERE}.agent:plan_stop_turn",
        role=Role.OPERATOR,
        effect=_ACT,
        needs=_FLEET,
        params=(_agent(),),
        examples=("agent stop-turn coder0",),
    ),
    Command(
        ("agent", "reset"),
        "a fresh context for an agent",
        f"{_HERE}.agent:reset",
        f"{_HERE}.agent:plan_reset",
        role=Role.OPERATOR,
        effect=_DANGEROUS,
        needs=_FLEET,
        params=(_agent(),),
        examples=("agent reset coder0",),
    ),
)
