"""Find, parse, permit, confirm, run, audit: on a real register, with the real parts of the bot."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command_world import ANA, BEN, VERA, World, text_of, world

from bot.commands.confirm import ALPHABET
from bot.commands.context import Caller, Plan
from bot.commands.dispatch import Dispatcher
from bot.commands.registry import Effect
from bot.roles import Role
from fleet.home import Home
from fleet.model import AgentRow, Readiness, Roster, Snapshot
from fleet.register import audit

__all__ = ["world"]


# --- answers -----------------------------------------------------------------------------------------------


async def test_a_command_answers_and_is_audited(world: World) -> None:
    assert text_of(await world.say("ping")) == "pong"
    assert await world.trail() == [("matrix:@ana:hs", "ping", "done")]
    assert await audit.verify(world.register) is None


async def test_unknown_words_and_wrong_usage_are_answered(world: World) -> None:
    hint = await world.say("fleet", "statsu")
    assert (hint.ok, hint.exit_code) == (False, 3)
    assert "Did you mean `fleet status`?" in text_of(hint)
    wrong = await world.say("fleet", "ps", "--nope")
    assert wrong.exit_code == 3
    assert "Usage: `!fleet ps" in text_of(wrong)
    assert [outcome.split(":")[0] for _, _, outcome in await world.trail()] == ["unknown", "usage"]


async def test_help_at_every_level(world: World) -> None:
    for words in ([], ["-h"], ["help"], ["fleet"], ["fleet", "-h"], ["fleet", "ps", "-h"], ["help", "ps"]):
        document = await world.say(*words)
        assert document.ok, words
        assert text_of(document)


async def test_ps_in_chat_and_its_json(world: World) -> None:
    shown = await world.say("fleet", "ps", "--class", "code")
    assert "coder0" in text_of(shown)
    assert "ops0" not in text_of(shown)
    found = await world.say("fleet", "ps", "--json")
    assert isinstance(found.data, dict)
    assert [agent["name"] for agent in found.data["agents"]] == ["coder0", "ops0"]
    assert json.loads(text_of(found)) == found.data
    compat = await world.say("fleet", "ps", "--json=compat")
    assert isinstance(compat.data, list)
    assert compat.data[0]["name"] == "coder0"


async def test_foreign_sessions_of_the_default_socket_are_only_counted_in_chat(world: World) -> None:
    world.rows.append(AgentRow("private", "here", "ana", "", False, Readiness.UNKNOWN, flags=("UNMANAGED",)))
    said = text_of(await world.say("fleet", "ps"))
    assert "private" not in said
    assert "1 other sessions" in said
    terminal = await world.dispatcher(terminal=True).run(
        ["fleet", "ps"], Caller("cli", "local:ana", Role.ADMIN)
    )
    assert "private" in text_of(terminal)


async def test_an_unexpected_failure_is_a_reference(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> Snapshot:
        raise ZeroDivisionError("inside")

    dispatcher = Dispatcher(
        home=world.home,
        now=world.now,
        roster=world.get_roster,
        snapshot=broken,
        services=world.services,
        new_ref=lambda: "8f2a",
    )
    said = await dispatcher.run(["fleet", "ps"], ANA)
    assert text_of(said) == "Failed (ref 8f2a). Nothing was changed."
    assert "8f2a" in caplog.text
    assert "inside" in caplog.text
    assert (await world.trail())[-1][2] == "failed: ref 8f2a"


# --- rights ------------------------------------------------------------------------------------------------


async def test_a_viewer_is_told_and_it_is_audited(world: World) -> None:
    said = await world.say("fleet", "resume", by=VERA)
    assert text_of(said) == "🔒 `fleet resume` needs operator; you are viewer."
    assert said.exit_code == 9
    assert world.home.paused.exists()
    assert (await world.trail())[-1] == ("matrix:@vera:hs", "fleet resume", "refused: no right")


async def test_an_agents_pane_acts_as_that_agent(world: World) -> None:
    coder = Caller("cli", "agent:coder0", Role.VIEWER, agent="coder0")
    operator = Caller("cli", "agent:ops0", Role.VIEWER, agent="ops0")
    terminal = world.dispatcher(terminal=True)
    assert (await terminal.run(["fleet", "pause", "x"], coder)).exit_code == 9
    assert world.home.paused.read_text() == "freeze\n"
    assert (await terminal.run(["fleet", "pause", "x"], operator)).ok
    assert world.home.paused.read_text() == "x\n"
    assert (await terminal.run(["fleet", "ps"], coder)).ok


# --- confirmation ------------------------------------------------------------------------------------------


async def ask(world: World, *words: str) -> str:
    document = await world.say(*words)
    assert isinstance(document.data, dict)
    code = str(document.data["confirm"])
    assert f"`!yes {code}`" in text_of(document)
    assert len(code) == 5
    assert set(code) <= set(ALPHABET)
    assert "l" not in code
    return code


async def test_dangerous_asks_and_yes_does_it_once(world: World) -> None:
    code = await ask(world, "fleet", "resume")
    assert world.home.paused.exists()
    assert "Resumed" in text_of(await world.say("yes", code))
    assert not world.home.paused.exists()
    world.home.paused.write_text("again\n")
    assert "confirmed already" in text_of(await world.say("yes", code))
    assert world.home.paused.exists()
    outcomes = [outcome for _, _, outcome in await world.trail()]
    assert outcomes[0] == f"asked {code}"
    assert outcomes[1] == f"done (confirmed {code}): fleet resume"


async def test_a_code_belongs_to_its_person(world: World) -> None:
    code = await ask(world, "fleet", "resume")
    assert "waits for the person who asked" in text_of(await world.say("yes", code, by=BEN))
    assert "waits for the person who asked" in text_of(await world.say("no", code, by=BEN))
    assert "No question" in text_of(await world.say("yes", code, by=replace(ANA, surface="local")))
    assert world.home.paused.exists()
    assert (await world.say("yes", code)).ok


async def test_no_and_late_and_unknown_read_differently(world: World) -> None:
    refused = await ask(world, "fleet", "resume")
    assert "refused" in text_of(await world.say("no", refused))
    assert "was refused" in text_of(await world.say("yes", refused))
    late = await ask(world, "fleet", "resume")
    world.at += timedelta(minutes=2, seconds=1)
    assert text_of(await world.say("yes", late)).startswith("⌛ Not confirmed in 2 min.")
    assert text_of(await world.say("yes", late)).startswith("⌛")
    assert "No question" in text_of(await world.say("yes", "qqqqq"))
    assert world.home.paused.exists()


async def test_what_changed_in_between_is_not_done(world: World) -> None:
    code = await ask(world, "fleet", "resume")
    world.paused = "another reason"
    said = await world.say("yes", code)
    assert "things changed" in text_of(said)
    assert world.home.paused.exists()
    assert "overtaken" in text_of(await world.say("yes", code))


async def test_a_lost_right_counts_at_the_confirmation(world: World) -> None:
    code = await ask(world, "fleet", "resume")
    assert (await world.say("yes", code, by=replace(ANA, role=Role.VIEWER))).exit_code == 9
    assert world.home.paused.exists()


async def test_dry_run_does_nothing(world: World) -> None:
    said = await world.say("fleet", "resume", "--dry-run")
    assert text_of(said).startswith("Would: Let dispatch and merges go on.")
    assert world.home.paused.exists()
    assert text_of(await world.say("escalation", "ack", "E-1", "--dry-run")).startswith(
        "Would: `escalation ack"
    )


async def test_yes_in_chat_is_not_enough_for_the_whole_fleet(world: World) -> None:
    await ask(world, "fleet", "resume", "--yes")
    assert world.home.paused.exists()


async def test_stop_shows_whom_it_would_stop(world: World) -> None:
    document = await world.say("fleet", "stop")
    assert "Stop 2 agents: coder0, ops0." in text_of(document)
    missing = await world.say("fleet", "stop", "cod")
    assert "No agent `cod` in the roster." in text_of(missing)
    assert "No agent `Oz`" in text_of(await world.say("fleet", "stop", "Oz"))


async def test_a_terminal_confirms_by_flag_or_question(world: World) -> None:
    owner = Caller("cli", "local:ana", Role.ADMIN)
    refused = await world.dispatcher(terminal=True).run(["fleet", "resume"], owner)
    assert refused.exit_code == 9
    assert "--yes" in text_of(refused)
    asked: list[Plan] = []

    async def no(plan: Plan) -> bool:
        asked.append(plan)
        return False

    assert (await world.dispatcher(terminal=True, ask=no).run(["fleet", "resume"], owner)).exit_code == 9
    assert asked[0].wide
    assert world.home.paused.exists()
    assert (await world.dispatcher(terminal=True).run(["fleet", "resume", "--yes"], owner)).ok
    assert not world.home.paused.exists()


# --- what needs the bot ------------------------------------------------------------------------------------


async def test_escalations_by_number(world: World) -> None:
    assert world.services is not None
    calls = world.services.escalations
    number = await world.register.write(
        lambda tx: calls.open(tx, agent="coder0", kind="asked", body="password missing", cause="c1")
    )
    assert f"E-{number}" in text_of(await world.say("escalation", "list"))
    assert "password missing" in text_of(await world.say("where", f"E-{number}"))
    assert "password missing" in text_of(await world.say("waiting"))
    assert "acknowledged" in text_of(await world.say("escalation", "ack", f"E-{number}"))
    assert "@ana:hs: acknowledged" in text_of(await world.say("escalation", "show", str(number)))
    assert "resolved" in text_of(await world.say("escalation", "resolve", f"e-{number}", "set", "now"))
    assert text_of(await world.say("escalation", "list")) == "No open escalations."
    assert (await world.say("escalation", "ack", "E-999")).exit_code == 1
    assert (await world.say("escalation", "snooze", f"E-{number}", "8d")).exit_code == 3


async def test_the_bots_own_words(world: World) -> None:
    assert "operator" in text_of(await world.say("whoami"))
    assert "2 working" in text_of(await world.say("status"))
    assert text_of(await world.say("schedule", "list")).startswith("No schedules")
    assert "no message M-7" in text_of(await world.say("where", "M-7"))
    assert "is no id" in text_of(await world.say("where", "118"))
    assert "The chain is whole." in text_of(await world.say("audit", "verify"))
    assert "audit verify" in text_of(await world.say("audit", "tail"))


async def test_without_the_bot_it_says_so(world: World) -> None:
    owner = Caller("cli", "local:ana", Role.ADMIN)
    said = await world.dispatcher(terminal=True).run(["status"], owner)
    assert said.exit_code == 6
    assert "mosaic bot run" in text_of(said)


def test_effects_decide_what_may_run_again(tmp_path: Path) -> None:
    async def never() -> Roster:
        raise AssertionError

    dispatcher = Dispatcher(home=Home(tmp_path), now=datetime.now, roster=never, snapshot=never)  # type: ignore[arg-type]
    assert dispatcher.effect_of(["fleet", "ps"]) is Effect.READ
    assert dispatcher.effect_of(["yes", "abcde"]) is Effect.ACT
    assert dispatcher.effect_of(["fleet", "stop"]) is Effect.DANGEROUS
    assert dispatcher.effect_of(["nothing"]) is Effect.READ
