"""What every connector must do, whatever the network. See docs/adding-a-connector.md.

A network joins by subclassing :class:`ConnectorContract` and giving a :class:`Surface`: how to make a
connector, and a person on the other side who shares no code with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from connectors.protocol import (
    Batch,
    ChatEvent,
    Connector,
    Content,
    Edited,
    File,
    LinkState,
    MessageReceived,
    Reacted,
    Redacted,
    Rejected,
    Sent,
    Target,
)

DEADLINE_S = 45.0
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000030802000000368849d6"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing that the person on the other side sees, in words common to all networks."""

    kind: str  # message | edit | reaction | redaction
    id: str
    text: str = ""
    target: str | None = None
    thread: str | None = None
    reply_to: str | None = None
    ping: tuple[str, ...] = ()
    file: str | None = None


class Surface(Protocol):
    """A network under test, with one room that the connector and the person share."""

    room: str
    person_id: str

    def connector(self) -> Connector:
        """A connector of the same account and store each time: as after a restart."""

    async def say(self, text: str, thread: str | None = None, reply_to: str | None = None) -> str: ...

    async def edit(self, ref: str, text: str) -> str: ...

    async def react(self, ref: str, emoji: str) -> str: ...

    async def redact(self, ref: str) -> str: ...

    async def say_file(self, path: Path, caption: str) -> str: ...

    async def shown(self) -> list[Shown]:
        """Everything in the room as the network has it now, oldest first."""

    async def fetch(self, shown: Shown) -> bytes:
        """The bytes of a shown file."""


@dataclass(slots=True)
class Reading:
    """What came out of a connector's events."""

    batches: list[Batch] = field(default_factory=list)
    ended: bool = False

    @property
    def events(self) -> list[ChatEvent]:
        return [event for batch in self.batches for event in batch.events]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageReceived)]

    @property
    def cursor(self) -> str | None:
        known = [batch.cursor for batch in self.batches if batch.cursor is not None]
        return known[-1] if known else None

    async def until(self, wanted: Callable[[ChatEvent], bool]) -> ChatEvent:
        """The first such event; fails with what was seen instead."""
        await eventually(lambda: any(wanted(e) for e in self.events), lambda: f"seen only {self.events[-5:]}")
        return next(e for e in self.events if wanted(e))

    async def text(self, text: str) -> MessageReceived:
        found = await self.until(lambda e: isinstance(e, MessageReceived) and e.text == text)
        assert isinstance(found, MessageReceived)
        return found


async def eventually(true: Callable[[], bool], told: Callable[[], str] = lambda: "") -> None:
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until, f"did not become true within {DEADLINE_S:.0f} s; {told()}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(connector: Connector, cursor: str | None = None) -> Any:
    """The connector, started and read from, as the bot does it."""
    await connector.start(cursor)
    reading = Reading()

    async def read() -> None:
        async for batch in connector.events():
            reading.batches.append(batch)
        reading.ended = True

    task = asyncio.create_task(read())
    try:
        yield reading
    finally:
        await connector.stop()
        done, _ = await asyncio.wait({task}, timeout=5)
        if not done:
            task.cancel()
        else:
            task.result()
        assert done, "events() must end within 5 s of stop()"


class ConnectorContract:
    """The suite. Every test gets ``surface``."""

    async def test_what_a_person_says_arrives_with_who_where_and_when(self, surface: Surface) -> None:
        connector = surface.connector()
        async with running(connector) as reading:
            ref = await surface.say("hello there")
            event = await reading.text("hello there")
        assert (event.id, event.room, event.sender) == (ref, surface.room, surface.person_id)
        assert event.is_command_capable
        assert event.ts.utcoffset() is not None
        assert abs(event.ts.timestamp() - time.time()) < 300

    async def test_history_from_before_the_first_start_is_not_told(self, surface: Surface) -> None:
        await surface.say("long ago")
        async with running(surface.connector()) as reading:
            await surface.say("now")
            await reading.text("now")
        assert reading.texts == ["now"]

    async def test_facts_keep_their_order_and_come_once(self, surface: Surface) -> None:
        said = [f"line {n}" for n in range(12)]
        async with running(surface.connector()) as reading:
            for text in said:
                await surface.say(text)
            await reading.text(said[-1])
        assert reading.texts == said
        ids = [event.id for event in reading.events]
        assert len(ids) == len(set(ids))

    async def test_own_posts_are_left_out(self, surface: Surface) -> None:
        connector = surface.connector()
        async with running(connector) as reading:
            assert isinstance(
                await connector.send(Target(surface.room), Content("from the bot"), "own1"), Sent
            )
            await surface.say("after it")
            await reading.text("after it")
        assert reading.texts == ["after it"]

    async def test_the_same_transaction_shows_once(self, surface: Surface) -> None:
        connector = surface.connector()
        async with running(connector):
            first = await connector.send(Target(surface.room), Content("only once"), "txn1")
            again = await connector.send(Target(surface.room), Content("only once"), "txn1")
        restarted = surface.connector()
        async with running(restarted):
            later = await restarted.send(Target(surface.room), Content("only once"), "txn1")
        assert isinstance(first, Sent)
        assert first == again == later
        assert [s.text for s in await surface.shown()].count("only once") == 1

    async def test_edit_react_redact_and_thread_show(self, surface: Surface) -> None:
        connector, here = surface.connector(), Target(surface.room)
        async with running(connector):
            question = await surface.say("how far?")
            root = await connector.send(here, Content("working", reply_to=question), "a1")
            assert isinstance(root, Sent)
            inside = await connector.send(Target(surface.room, root.ref), Content("step one"), "a2")
            assert isinstance(await connector.edit(here, root.ref, Content("done"), "a3"), Sent)
            mark = await connector.react(here, question, "👀", "a4")
            assert isinstance(mark, Sent)
            assert isinstance(await connector.redact(here, mark.ref, "a5"), Sent)
            assert isinstance(inside, Sent)
        shown = await surface.shown()
        assert any(s.kind == "message" and s.id == root.ref and s.reply_to == question for s in shown)
        assert any(s.kind == "message" and s.id == inside.ref and s.thread == root.ref for s in shown)
        assert any(s.kind == "edit" and s.target == root.ref and s.text == "done" for s in shown)
        assert any(s.kind == "redaction" and s.target == mark.ref for s in shown)

    async def test_a_persons_edit_reaction_redaction_and_thread_arrive(self, surface: Surface) -> None:
        async with running(surface.connector()) as reading:
            root = await surface.say("frist")
            await surface.edit(root, "first")
            await surface.say("in the thread", thread=root)
            await surface.say("quoting", reply_to=root)
            mark = await surface.react(root, "✅")
            await surface.redact(mark)
            edited = await reading.until(lambda e: isinstance(e, Edited))
            threaded = await reading.text("in the thread")
            quoting = await reading.text("quoting")
            reacted = await reading.until(lambda e: isinstance(e, Reacted))
            redacted = await reading.until(lambda e: isinstance(e, Redacted))
        assert isinstance(edited, Edited)
        assert (edited.target, edited.text, edited.sender) == (root, "first", surface.person_id)
        assert (threaded.thread, threaded.reply_to) == (root, None)
        assert (quoting.thread, quoting.reply_to) == (None, root)
        assert isinstance(reacted, Reacted)
        assert (reacted.target, reacted.emoji, reacted.id) == (root, "✅", mark)
        assert isinstance(redacted, Redacted)
        assert redacted.target == mark
        assert reading.texts == ["frist", "in the thread", "quoting"]

    async def test_an_upload_shows_with_its_caption_once(self, surface: Surface, tmp_path: Path) -> None:
        path = tmp_path / "chart.png"
        path.write_bytes(PNG)
        connector = surface.connector()
        content = Content("", file=File(path, "chart.png", "image/png", "two agents work, one waits"))
        async with running(connector):
            first = await connector.upload(Target(surface.room), content, "up1")
            again = await connector.upload(Target(surface.room), content, "up1")
        assert isinstance(first, Sent)
        assert first == again
        shown = [s for s in await surface.shown() if s.file is not None]
        assert [s.text for s in shown] == ["two agents work, one waits"]
        assert await surface.fetch(shown[0]) == PNG

    async def test_a_persons_file_can_be_fetched_within_the_limit(
        self, surface: Surface, tmp_path: Path
    ) -> None:
        source, to = tmp_path / "notes.txt", tmp_path / "fetched"
        source.write_text("remember the milk")
        connector = surface.connector()
        async with running(connector) as reading:
            await surface.say_file(source, "my notes")
            event = await reading.text("my notes")
            (file,) = event.files
            assert not await connector.download(file, to, limit_bytes=5)
            assert not to.exists()
            assert await connector.download(file, to, limit_bytes=1000)
        assert file.name == "notes.txt"
        assert file.mime == "text/plain"
        assert to.read_text() == "remember the milk"

    async def test_nothing_is_lost_over_a_restart_with_an_old_cursor(self, surface: Surface) -> None:
        async with running(surface.connector()) as before:
            await surface.say("seen")
            await before.text("seen")
            cursor = before.cursor
        assert cursor is not None
        await surface.say("while away")
        async with running(surface.connector(), cursor) as after:
            await after.text("while away")
            await surface.say("back again")
            await after.text("back again")
        assert [t for t in after.texts if t != "seen"] == ["while away", "back again"]

    async def test_an_unjournalled_batch_comes_again(self, surface: Surface) -> None:
        async with running(surface.connector()) as before:
            old = before
            await eventually(lambda: old.cursor is not None)
            cursor = before.cursor  # and not the one behind what follows
            await surface.say("not yet journalled")
            first = await before.text("not yet journalled")
        async with running(surface.connector(), cursor) as after:
            again = await after.text("not yet journalled")
        assert again == first

    async def test_more_than_a_page_of_messages_while_away_arrives_whole(self, surface: Surface) -> None:
        async with running(surface.connector()) as before:
            await surface.say("last seen")
            await before.text("last seen")
            cursor = before.cursor
        said = [f"missed {n}" for n in range(230)]
        for text in said:
            await surface.say(text)
        async with running(surface.connector(), cursor) as after:
            await after.text(said[-1])
        assert [t for t in after.texts if t != "last seen"] == said

    async def test_an_unknown_room_is_refused_for_good(self, surface: Surface) -> None:
        connector = surface.connector()
        async with running(connector):
            outcome = await connector.send(Target("!nowhere:mosaic.localhost"), Content("x"), "nowhere1")
        assert isinstance(outcome, Rejected)
        assert outcome.reason

    async def test_the_status_says_up_and_then_not(self, surface: Surface) -> None:
        connector = surface.connector()
        async with running(connector) as reading:
            await eventually(lambda: connector.status.state is LinkState.UP)
            await connector.typing(surface.room, True)
            await connector.typing(surface.room, False)
        assert reading.ended
        assert connector.me

    async def test_a_long_text_goes_through_whole_within_the_stated_limit(self, surface: Surface) -> None:
        connector = surface.connector()
        text = "ä€ " * (min(connector.capabilities.message_limit, 14_000) // 3)
        async with running(connector):
            outcome = await connector.send(Target(surface.room), Content(text), "long1")
            assert isinstance(outcome, Sent)
            assert isinstance(
                await connector.edit(Target(surface.room), outcome.ref, Content(text + "!"), "long2"), Sent
            )
        shown = await surface.shown()
        assert [s.text for s in shown if s.id == outcome.ref] == [text]
        assert [s.text for s in shown if s.target == outcome.ref and s.kind == "edit"] == [text + "!"]
