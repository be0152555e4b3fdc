"""Conversations, messages to agents, escalations: their states go forward, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from register_support import START, Clock, opened

from fleet.register import conversations, escalations, inbox, messages, outbox
from fleet.register.conversations import Conversation
from fleet.register.engine import Register, Tx
from fleet.register.escalations import ASKED_LEVEL, EscalationRow


def talk(
    tx: Tx, new_handle: Callable[[], str], *, thread: str = "", agent: str = "orchestrator"
) -> Conversation:
    return conversations.handle_for(
        tx, connector="matrix", room="!r", thread=thread, person="@ana", agent=agent, new_handle=new_handle
    )


def say(tx: Tx, event: str, handle: str = "h", agent: str = "orchestrator") -> int:
    row = inbox.record(
        tx,
        source="matrix",
        external_id=event,
        kind="message",
        room="!r",
        sender="@ana",
        body="{}",
        event_ts=START,
    )
    assert row is not None
    return messages.accept(
        tx, inbox_id=row, handle=handle, mail_id=f"mail{event}", agent=agent, event_ref=event, body="do it"
    )


async def test_one_conversation_has_one_handle_and_a_taken_handle_is_not_given_again(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        handles = iter(["one", "unused", "one", "two"])
        first = await reg.write(lambda tx: talk(tx, lambda: next(handles)))
        clock.pass_s(5)
        again = await reg.write(lambda tx: talk(tx, lambda: "other"))
        assert (again.handle, again.created_at, again.last_at) == (first.handle, START, clock())
        next(handles)
        thread = await reg.write(lambda tx: talk(tx, lambda: next(handles), thread="$t"))
        assert thread.handle == "two"
        assert await conversations.by_handle(reg, "one") == again
        assert await conversations.by_handle(reg, "zzz") is None
        with pytest.raises(RuntimeError, match="no free handle"):
            await reg.write(lambda tx: talk(tx, lambda: "one", agent="coder0"))


async def test_a_message_gets_one_number_and_is_found_by_all_its_names(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        await reg.write(lambda tx: talk(tx, lambda: "h"))
        one, two = await reg.write(lambda tx: (say(tx, "$1"), say(tx, "$2")))
        row = await messages.get(reg, one)
        assert row is not None
        again = await reg.write(
            lambda tx: messages.accept(
                tx, inbox_id=row.inbox_id, handle="h", mail_id="new", agent="x", event_ref="$", body="other"
            )
        )
        assert again == one
        assert await messages.by_mail(reg, "mail$1") == row
        assert await messages.by_token(reg, "h", one) == row
        assert await messages.by_token(reg, "x", one) is None
        newest = await messages.newest_open(reg, "h")
        assert newest is not None
        assert newest.number == two


async def test_states_only_go_forward(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(lambda tx: talk(tx, lambda: "h"))
        number = await reg.write(lambda tx: say(tx, "$1"))

        async def to(state: str, **more: str) -> bool:
            clock.pass_s(1)
            return await reg.write(lambda tx: messages.advance(tx, number, state, **more))

        assert await to("held", note="its pane is gone")
        assert not await to("held")
        assert await to("queued")
        assert not await to("queued")
        assert await to("typed", evidence="accepted event 12")
        for state in ("held", "queued", "typed"):
            assert not await to(state)
        assert await reg.write(lambda tx: messages.answered(tx, number, "out1"))
        assert not await reg.write(lambda tx: messages.answered(tx, number, "out2"))
        assert not await to("failed", note="late")
        row = await messages.get(reg, number)
        assert row is not None
        assert (row.state, row.answer_outbox, row.evidence) == ("answered", "out1", "accepted event 12")
        assert row.queued_at == START + timedelta(seconds=3)
        assert row.typed_at == START + timedelta(seconds=5)
        with pytest.raises(ValueError, match="no state"):
            await to("lost")


async def test_what_seemed_lost_may_still_be_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        await reg.write(lambda tx: talk(tx, lambda: "h"))
        number = await reg.write(lambda tx: say(tx, "$1"))
        assert await reg.write(lambda tx: messages.advance(tx, number, "failed", note="unknown"))
        assert await messages.newest_open(reg, "h") is None
        assert await reg.write(lambda tx: messages.answered(tx, number, "out"))


async def test_who_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        await reg.write(lambda tx: (talk(tx, lambda: "h"), talk(tx, lambda: "c", agent="coder0")))
        numbers = await reg.write(
            lambda tx: [say(tx, f"${n}") for n in range(5)] + [say(tx, "$c", "c", "coder0")]
        )
        held, typed, answered, failed, fresh, other = numbers

        def move(tx: Tx) -> None:
            messages.advance(tx, held, "held")
            messages.advance(tx, typed, "typed")
            messages.answered(tx, answered, "out")
            messages.advance(tx, failed, "failed")

        await reg.write(move)
        assert [m.number for m in await messages.waiting(reg)] == [held, fresh, other]
        assert [m.number for m in await messages.unanswered(reg)] == [held, typed, fresh, other]
        assert [m.number for m in await messages.open_for_agent(reg, "orchestrator")] == [held, typed, fresh]
        assert await reg.write(lambda tx: messages.answer_in_turn(tx, "h", since=typed)) == "out"
        assert await reg.write(lambda tx: messages.answer_in_turn(tx, "h", since=failed)) is None
        row = await messages.get(reg, typed)
        assert row is not None
        assert not await reg.write(lambda tx: messages.revise(tx, row.inbox_id, "new words"))
        row = await messages.get(reg, held)
        assert row is not None
        assert await reg.write(lambda tx: messages.revise(tx, row.inbox_id, "new words"))


# --- escalations ---------------------------------------------------------------------------------------


async def raised(reg: Register, key: str = "k", due: datetime | None = START) -> tuple[EscalationRow, bool]:
    return await reg.write(
        lambda tx: escalations.open_or_join(
            tx, agent="coder0", kind="asked", key=key, title="DB password", body="missing", next_due=due
        )
    )


async def whats(reg: Register, number: int) -> list[str]:
    return [event.what for event in await escalations.events(reg, number)]


async def test_the_same_key_joins_and_another_opens(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        first, new = await raised(reg)
        assert new
        joined, new = await raised(reg)
        assert (joined.number, joined.count, new) == (first.number, 2, False)
        other, new = await raised(reg, "k2")
        assert new
        assert other.number != first.number
        assert await whats(reg, first.number) == ["opened", "again"]
        assert [e.number for e in await escalations.list_open(reg)] == [first.number, other.number]
        assert await reg.write(lambda tx: escalations.open_by_key(tx, "k")) == first.number
        assert await reg.write(lambda tx: escalations.open_by_key(tx, "no")) is None


@pytest.mark.parametrize(("minutes", "same"), [(30, True), (30.1, False)])
async def test_it_comes_back_under_its_number_within_30_minutes(
    tmp_path: Path, minutes: float, same: bool
) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        first, _ = await raised(reg)
        await reg.write(lambda tx: escalations.acknowledge(tx, first.number, "@ana", None))
        assert await reg.write(lambda tx: escalations.resolve(tx, first.number, "@ana", "done"))
        assert not await reg.write(lambda tx: escalations.resolve(tx, first.number, "@bob", None))
        assert await escalations.list_open(reg) == []
        clock.pass_s(minutes * 60)
        back, new = await raised(reg)
        assert (back.number == first.number, new) == (same, not same)
        assert (back.state, back.acked_by, back.resolved_at, back.opened_at) == ("open", None, None, clock())


async def test_each_level_is_taken_once_and_the_last_makes_it_stale(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        row, _ = await raised(reg)
        later = START + timedelta(minutes=5)

        async def step(level: int, due: datetime | None = later) -> bool:
            return await reg.write(lambda tx: escalations.raise_again(tx, row.number, level, due))

        assert [e.number for e in await escalations.due(reg, START)] == [row.number]
        assert await step(1)
        assert not await step(1)
        assert await escalations.due(reg, START) == []
        assert [e.number for e in await escalations.due(reg, later)] == [row.number]
        assert not await step(ASKED_LEVEL)
        assert await step(8, None)
        assert await escalations.due(reg, later + timedelta(days=9)) == []
        stale = await escalations.get(reg, row.number)
        assert stale is not None
        assert stale.state == "stale"
        back, new = await raised(reg)
        assert (back.state, back.level, back.count, new) == ("open", 0, 2, False)
        assert await whats(reg, row.number) == ["opened", "raised", "stale", "reopened"]


async def test_an_acknowledged_one_is_asked_after_then_kept_or_opened_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        number = (await raised(reg))[0].number
        due = START + timedelta(hours=1)

        async def ack(who: str) -> bool:
            return await reg.write(lambda tx: escalations.acknowledge(tx, number, who, due))

        async def step(level: int) -> bool:
            return await reg.write(lambda tx: escalations.raise_again(tx, number, level, due))

        assert await ack("@ana")
        assert not await ack("@bob")
        assert not await step(1), "a step that was due before it was taken comes too late"
        assert await step(ASKED_LEVEL)
        assert not await step(ASKED_LEVEL)
        assert await ack("@ana"), "the answer to being asked"
        assert await step(ASKED_LEVEL)
        assert await reg.write(lambda tx: escalations.reopen(tx, number, due))
        assert not await reg.write(lambda tx: escalations.reopen(tx, number, due))
        row = await escalations.get(reg, number)
        assert row is not None
        assert (row.state, row.level, row.acked_by, row.next_due) == ("open", 0, None, due)
        log = await escalations.events(reg, number)
        assert [(e.what, e.who) for e in log[:3]] == [
            ("opened", "coder0"),
            ("acknowledged", "@ana"),
            ("asked", "bot"),
        ]


async def test_snooze_is_quiet_until_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        number = (await raised(reg))[0].number
        until = START + timedelta(hours=1)
        assert await reg.write(lambda tx: escalations.snooze(tx, number, "@ana", until))
        assert await escalations.due(reg, until - timedelta(seconds=1)) == []
        (row,) = await escalations.due(reg, until)
        assert row.state == "snoozed"
        await reg.write(lambda tx: escalations.resolve(tx, number, "@ana", None))
        assert not await reg.write(lambda tx: escalations.snooze(tx, number, "@ana", until))
        assert await escalations.due(reg, until) == []


async def test_a_root_is_found_from_either_side(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        number = (await raised(reg))[0].number

        def post(tx: Tx) -> None:
            for connector in ("matrix", "local"):
                row = outbox.put(
                    tx, id=f"root-{connector}", connector=connector, room="!ops", kind="send", content="{}"
                )
                escalations.add_post(tx, number, connector, "!ops", row)
            outbox.sent(tx, "root-matrix", "$root")

        await reg.write(post)
        assert [tuple(p) for p in await escalations.posts(reg, number)] == [
            ("local", "!ops", "root-local"),
            ("matrix", "!ops", "root-matrix"),
        ]
        assert await reg.write(lambda tx: escalations.posts_of(tx, number)) == await escalations.posts(
            reg, number
        )
        assert await escalations.by_post(reg, "root-local") == number
        assert await escalations.by_post(reg, "root-other") is None
        assert await reg.write(lambda tx: escalations.number_by_ref(tx, "matrix", "$root")) == number
        assert await reg.write(lambda tx: escalations.number_by_ref(tx, "local", "$root")) is None


async def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    from sqlalchemy import delete

    from fleet.register.schema import escalation_events
    from fleet.register.schema import escalations as table

    keys = (f"k{n}" for n in count())
    async with opened(tmp_path) as reg:
        last = (await raised(reg, next(keys)))[0].number
        await reg.write(lambda tx: (tx.execute(delete(escalation_events)), tx.execute(delete(table))))
        assert (await raised(reg, next(keys)))[0].number > last
