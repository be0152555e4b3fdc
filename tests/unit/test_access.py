"""Exact ids decide; an agent's pane reads and sends."""

from __future__ import annotations

import pytest

from bot.access import agent_may, may_talk, refusal, role_of
from bot.commands.catalog import CATALOG
from bot.commands.context import Caller
from bot.commands.registry import Command, Effect
from bot.config import Access, Config, Listed
from bot.roles import Role


def config() -> Config:
    return Config(
        access=Access(
            viewer=Listed(matrix=("@vera:hs.example", "@ana:hs.example")),
            operator=Listed(matrix=("@ana:hs.example",), discord_users=("42",)),
            admin=Listed(matrix=("@root:hs.example",)),
        )
    )


def command(*path: str) -> Command:
    return next(c for c in CATALOG if c.path == path)


@pytest.mark.parametrize(
    ("surface", "person", "role"),
    [
        ("matrix", "@ana:hs.example", Role.OPERATOR),
        ("matrix", "@vera:hs.example", Role.VIEWER),
        ("matrix", "@root:hs.example", Role.ADMIN),
        ("matrix", "@ANA:hs.example", Role.NOBODY),
        ("matrix", "@ana:hs.example.evil", Role.NOBODY),
        ("matrix", "ana", Role.NOBODY),
        ("matrix", "42", Role.NOBODY),
        ("matrix", "", Role.NOBODY),
        ("discord", "42", Role.OPERATOR),
        ("local", "root", Role.ADMIN),
        ("cli", "agent:coder0", Role.VIEWER),
        ("telegram", "@ana:hs.example", Role.NOBODY),
    ],
)
def test_roles(surface: str, person: str, role: Role) -> None:
    assert role_of(config(), surface, person) is role


def test_empty_lists_are_nobody() -> None:
    assert role_of(Config(), "matrix", "@ana:hs.example") is Role.NOBODY


def test_talk_needs_operator() -> None:
    assert [may_talk(role) for role in Role] == [False, False, True, True]


def test_on_call_is_operators_and_admins_once() -> None:
    access = Access(operator=Listed(matrix=("@a:x", "@b:x")), admin=Listed(matrix=("@b:x",)))
    assert access.on_call("matrix") == ("@a:x", "@b:x")
    assert access.on_call("local") == ()


def test_agents_read_and_send_and_nothing_else() -> None:
    allowed = {c.name for c in CATALOG if c.effect is not Effect.READ and agent_may("code", c)}
    assert allowed == {"agent send"}
    operator = {c.name for c in CATALOG if c.effect is not Effect.READ and agent_may("operator", c)}
    assert operator == {"agent send", "fleet pause", "fleet resume", "escalation ack", "escalation snooze"}
    assert not agent_may("orchestrator", command("audit", "tail"))


def test_refusals_name_what_is_needed() -> None:
    viewer = Caller("matrix", "@vera:hs.example", Role.VIEWER)
    assert refusal(command("fleet", "ps"), viewer, None) is None
    told = refusal(command("fleet", "stop"), viewer, None)
    assert told == "🔒 `fleet stop` needs operator; you are viewer."
    agent = Caller("cli", "agent:coder0", Role.VIEWER, agent="coder0")
    assert "coder0" in (refusal(command("fleet", "stop"), agent, "code") or "")
    unsure = Caller("cli", "unverified:ana", Role.VIEWER)
    assert refusal(command("agent", "send"), unsure, None) is None
    assert refusal(command("fleet", "start"), unsure, None) is not None
