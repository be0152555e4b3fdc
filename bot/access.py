"""Who somebody is and what that allows. Pure: exact ids only, a display name is never an identity.

Inside one Unix uid these rights guard against mistakes; they are no wall (docs, security model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.commands.registry import Command, Effect
from bot.roles import Role

if TYPE_CHECKING:
    from bot.commands.context import Caller
    from bot.config import Config

OPERATOR_CLASS = "operator"

# What an agent may do beyond reading; an agent of class operator also what stands in the second.
_ANY_AGENT = frozenset({("agent", "send")})
_OPERATOR_AGENT = frozenset(
    {("fleet", "pause"), ("fleet", "resume"), ("escalation", "ack"), ("escalation", "snooze")}
)


def role_of(config: Config, surface: str, person: str) -> Role:
    """The role of exactly this id on that surface; the highest list wins, on none of them is NOBODY.

    The local surface and the terminal are open to the owner's uid only, who is admin there; an agent's pane
    (``agent:<name>``) reads, and :func:`agent_may` says what else.
    """
    if surface in {"local", "cli"}:
        return Role.VIEWER if person.startswith("agent:") else Role.ADMIN
    access = config.access
    for role, listed in (
        (Role.ADMIN, access.admin),
        (Role.OPERATOR, access.operator),
        (Role.VIEWER, access.viewer),
    ):
        if person in listed.ids(surface):
            return role
    return Role.NOBODY


def may_talk(role: Role) -> bool:
    """Whether words may reach a pane: who may talk to an agent can make it run code."""
    return role >= Role.OPERATOR


def agent_may(agent_class: str | None, command: Command) -> bool:
    """What a call placed inside a fleet pane may do: read, send, and for the class operator a little more."""
    if command.effect is Effect.READ:
        return command.role <= Role.VIEWER
    if command.path in _ANY_AGENT:
        return True
    return agent_class == OPERATOR_CLASS and command.path in _OPERATOR_AGENT


def refusal(command: Command, caller: Caller, agent_class: str | None) -> str | None:
    """Why this caller may not run it, in one line; None when it may. ``agent_class`` is that of the agent in
    whose pane the call was made, as the roster has it."""
    if caller.surface != "cli" and not command.chat:
        return f"🔒 `{command.name}` is for the terminal only."
    if caller.agent is not None:
        if agent_may(agent_class, command):
            return None
        kind = f" (class {agent_class})" if agent_class else ""
        return f"🔒 `{command.name}` is not for agents; this call came from the pane of {caller.agent}{kind}."
    if caller.person.startswith("unverified:"):
        if agent_may(None, command):
            return None
        return (
            f"🔒 `{command.name}` is refused: whether this call came from a fleet pane cannot be told. "
            "Run it from a login of your own."
        )
    if caller.role >= command.role:
        return None
    mine = caller.role.name.lower() if caller.role is not Role.NOBODY else "on no list"
    return f"🔒 `{command.name}` needs {command.role.name.lower()}; you are {mine}."
