"""What comes in is recorded once; what goes out keeps its order within a line, and holds no other line."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest
from register_support import START, Clock, opened

from fleet.register import inbox, outbox
from fleet.register.engine import Register, Tx
from fleet.register.outbox import OutboxRow


def came(tx: Tx, external_id: str, **more: str) -> int | None:
    given = {"source": "matrix", "kind": "message", "room": "!r", "sender": "@ana", "body": "{}"} | more
    return inbox.record(tx, external_id=external_id, event_ts=START, **given)


def put(tx: Tx, name: str, room: str = "!a", **more: str) -> str:
    return outbox.put(
        tx, id=name, connector="matrix", room=room, **({"kind": "send", "content": "{}"} | more)
    )


async def ready(reg: Register, clock: Clock, limit: int = 50) -> list[str]:
    return [row.id for row in await outbox.ready(reg, "matrix", clock(), limit)]


# --- inbox ---------------------------------------------------------------------------------------------


async def test_the_same_event_is_recorded_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        first, again, other, twin = await reg.write(
            lambda tx: (came(tx, "$1"), came(tx, "$1"), came(tx, "$2"), came(tx, "$1", source="local"))
        )
        assert again is None
        assert [row.id for row in await inbox.pending(reg)] == [first, other, twin]
        found = await inbox.find(reg, "matrix", "$1")
        assert found is not None
        assert (found.id, found.event_ts, found.started_at) == (first, START, None)
        assert await inbox.find(reg, "matrix", "$9") is None


async def test_a_row_is_started_at_most_once_also_over_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        row = await reg.write(lambda tx: came(tx, "$1"))
        assert row is not None
        assert await reg.write(lambda tx: inbox.start(tx, row))
    clock.pass_s(60)
    async with opened(tmp_path, clock) as reg:
        assert not await reg.write(lambda tx: inbox.start(tx, row))
        (left,) = await inbox.pending(reg)
        assert left.started_at == START


async def test_finished_rows_are_no_longer_pending_and_say_why(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        one, two = await reg.write(lambda tx: (came(tx, "$1"), came(tx, "$2")))
        assert one
        assert two
        assert await reg.write(lambda tx: inbox.revise(tx, one, '{"new": 1}'))
        await reg.write(lambda tx: (inbox.done(tx, one), inbox.dead(tx, two, "no such room")))
        assert await inbox.pending(reg) == []
        assert not await reg.write(lambda tx: inbox.revise(tx, one, "too late"))
        done, dead = await inbox.find(reg, "matrix", "$1"), await inbox.find(reg, "matrix", "$2")
        assert done
        assert dead
        assert (done.state, done.note, done.body) == ("done", None, '{"new": 1}')
        assert (dead.state, dead.note, dead.handled_at) == ("dead", "no such room", START)


async def test_a_cursor_is_what_was_set_last(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        assert await inbox.get_cursor(reg, "matrix", "cursor") is None
        for value in ("s1", "s2", ""):
            await reg.write(lambda tx, v=value: inbox.set_cursor(tx, "matrix", "cursor", v))
            assert await inbox.get_cursor(reg, "matrix", "cursor") == value
        assert await inbox.get_cursor(reg, "matrix", "identity") is None


# --- outbox --------------------------------------------------------------------------------------------


async def test_the_same_dedup_is_one_row(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        ids = await reg.write(
            lambda tx: [put(tx, "a", dedup="once"), put(tx, "b", dedup="once"), put(tx, "c")]
        )
        assert ids == ["a", "a", "c"]
        assert await outbox.backlog(reg) == {"matrix": 2}
        with pytest.raises(ValueError, match="no lane"):
            await reg.write(lambda tx: put(tx, "d", lane="express"))


async def test_only_the_head_of_each_line_is_ready_and_answers_come_first(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(
            lambda tx: [
                put(tx, "bulk", lane="bulk"),
                put(tx, "a1"),
                put(tx, "a2"),
                put(tx, "answer1", lane="answer"),
                put(tx, "answer2", lane="answer"),
                put(tx, "b1", "!b"),
                outbox.put(tx, id="else", connector="local", room="!a", kind="send", content="{}"),
            ]
        )
        assert await ready(reg, clock) == ["answer1", "a1", "b1", "bulk"]
        assert await ready(reg, clock, 2) == ["answer1", "a1"]
        await reg.write(lambda tx: outbox.sent(tx, "a1", "$a1"))
        assert "a2" in await ready(reg, clock)
        row = await outbox.get(reg, "a1")
        assert row is not None
        assert (row.state, row.ref, row.sent_at, row.attempts) == ("sent", "$a1", START, 1)


async def test_a_head_that_must_wait_holds_its_line_only(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(lambda tx: [put(tx, "a1"), put(tx, "a2"), put(tx, "b1", "!b")])
        later = clock() + timedelta(seconds=30)
        await reg.write(lambda tx: outbox.retry(tx, "a1", later, "429"))
        assert await ready(reg, clock) == ["b1"]
        clock.pass_s(30)
        assert await ready(reg, clock) == ["a1", "b1"]
        await reg.write(lambda tx: outbox.dead(tx, "a1", "too large"))
        assert await ready(reg, clock) == ["a2", "b1"]
        row = await outbox.get(reg, "a1")
        assert row is not None
        assert (row.state, row.error, row.attempts) == ("dead", "too large", 2)


@pytest.mark.parametrize("pointer", ["refers_to", "thread_of"])
async def test_a_row_waits_for_the_row_it_points_at(tmp_path: Path, pointer: str) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(lambda tx: [put(tx, "root"), put(tx, "leaf", lane="answer", **{pointer: "root"})])
        assert await ready(reg, clock) == ["root"]
        await reg.write(lambda tx: outbox.sent(tx, "root", "$root"))
        assert await ready(reg, clock) == ["leaf"]


async def test_what_points_at_a_dead_row_is_not_stuck(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(lambda tx: [put(tx, "root"), put(tx, "leaf", kind="edit", refers_to="root")])
        await reg.write(lambda tx: outbox.dead(tx, "root", "refused"))
        assert await ready(reg, clock) == ["leaf"]


async def test_a_flooded_room_does_not_starve_the_others(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(lambda tx: [put(tx, f"flood{n:03}", "!flood") for n in range(100)])
        await reg.write(lambda tx: [put(tx, f"calm{n}", "!calm") for n in range(3)])
        order = []
        for _ in range(6):
            (one,) = await ready(reg, clock, 1)
            order.append(one)
            clock.pass_s(1)
            await reg.write(lambda tx, i=one: outbox.sent(tx, i, f"${i}"))
        assert order == ["flood000", "calm0", "flood001", "calm1", "flood002", "calm2"]


@pytest.mark.parametrize("seed", range(3))
async def test_any_mix_is_sent_whole_in_order_and_never_before_its_root(tmp_path: Path, seed: int) -> None:
    dice, clock = random.Random(seed), Clock()
    lines: dict[str, tuple[str, str]] = {}
    roots: dict[str, str] = {}

    def fill(tx: Tx) -> None:
        for n in range(60):
            name, lane, room = f"{n:03}", dice.choice(outbox.LANES), dice.choice("abc")
            root = dice.choice([None, *lines])
            put(
                tx, name, room, lane=lane, **({dice.choice(["refers_to", "thread_of"]): root} if root else {})
            )
            lines[name] = (room, lane)
            if root:
                roots[name] = root

    async with opened(tmp_path, clock) as reg:
        await reg.write(fill)
        gone: list[str] = []
        while batch := await outbox.ready(reg, "matrix", clock(), 4):
            taken = [row.id for row in batch if dice.random() < 0.6] or [batch[0].id]
            dice.shuffle(taken)
            await reg.write(lambda tx, t=taken: [outbox.sent(tx, i, f"${i}") for i in t])
            gone += taken
            clock.pass_s(1)
        assert sorted(gone) == sorted(lines)
        for line in set(lines.values()):
            assert [i for i in gone if lines[i] == line] == [i for i in sorted(lines) if lines[i] == line]
        assert all(gone.index(root) < gone.index(name) for name, root in roots.items())


async def test_an_unsent_edit_is_replaced_only_while_nobody_can_be_sending_it(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(lambda tx: [put(tx, "head"), put(tx, "behind")])

        async def replaced(name: str) -> bool:
            return await reg.write(lambda tx: outbox.replace_pending(tx, name, "new"))

        assert not await replaced("head")
        assert await replaced("behind")
        later = clock() + timedelta(seconds=5)
        await reg.write(lambda tx: outbox.retry(tx, "head", later, "429"))
        assert await replaced("head")
        await reg.write(lambda tx: outbox.sent(tx, "head", "$1"))
        assert not await replaced("head")
        rows = [await outbox.get(reg, "head"), await outbox.get(reg, "behind")]
        assert [row.content for row in rows if row] == ["new", "new"]


async def test_a_message_is_found_by_the_networks_id_a_reaction_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        await reg.write(lambda tx: [put(tx, "m"), put(tx, "r", "!b", kind="react", target_ref="$x")])
        await reg.write(lambda tx: [outbox.sent(tx, "m", "$m"), outbox.sent(tx, "r", "$r")])
        found: OutboxRow | None = await outbox.by_ref(reg, "matrix", "$m")
        assert found is not None
        assert found.id == "m"
        assert await outbox.by_ref(reg, "matrix", "$r") is None
        assert await outbox.by_ref(reg, "local", "$m") is None
        assert await outbox.backlog(reg) == {}
