"""The local surface: over a real Unix socket, with the client that `mosaic chat` uses."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from contract import ConnectorContract, Shown, eventually, running

from connectors.local.client import chat_main
from connectors.local.connector import LocalConnector
from connectors.local.link import Link, Refused
from connectors.protocol import Content, Rejected, Sent, StartError, Target

pytestmark = pytest.mark.asyncio(loop_scope="session")
USER = "ana"


class LocalSurface:
    """A server like the bot's, which hands connections to the connector of the moment, and one terminal."""

    room = "ops"
    person_id = USER

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.current = self.connector()
        self._txn = 0

    def connector(self) -> LocalConnector:
        self.current = LocalConnector(
            self.folder / "local", rooms=("ops", "log"), complete=lambda t: [t + " done"]
        )
        return self.current

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            assert orjson.loads(await reader.readline())["op"] == "chat"
            await self.current.attach(reader, writer, USER)
            writer.close()

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        async with Link(self.socket, USER) as link:
            return await link.ask(op, **fields)

    async def _ref(self, op: str, **fields: Any) -> str:
        return str((await self.ask(op, **fields))["ref"])

    async def say(self, text: str, thread: str | None = None, reply_to: str | None = None) -> str:
        return await self._ref("send", room=self.room, text=text, thread=thread, reply_to=reply_to)

    async def edit(self, ref: str, text: str) -> str:
        return await self._ref("edit", target=ref, text=text)

    async def react(self, ref: str, emoji: str) -> str:
        return await self._ref("react", target=ref, emoji=emoji)

    async def redact(self, ref: str) -> str:
        return await self._ref("redact", target=ref)

    async def say_file(self, path: Path, caption: str) -> str:
        return await self._ref("send", room=self.room, text=caption, files=[str(path)])

    async def shown(self) -> list[Shown]:
        events = (await self.ask("history", room=self.room, limit=1000))["events"]
        return [
            Shown(
                e["event"],
                e["id"],
                e.get("text", ""),
                e.get("target"),
                e.get("thread"),
                e.get("reply_to"),
                tuple(e.get("ping", ())),
                next((f["ref"] for f in e.get("files", ())), None),
            )
            for e in events
        ]

    async def fetch(self, shown: Shown) -> bytes:
        return (self.folder / "local" / "files" / str(shown.file)).read_bytes()


@pytest_asyncio.fixture(loop_scope="session")
async def surface(tmp_path: Path) -> AsyncIterator[LocalSurface]:
    made = LocalSurface(tmp_path)
    server = await asyncio.start_unix_server(made.serve, str(made.socket), limit=4_000_000)
    yield made
    await made.current.stop()
    server.close()


class TestLocal(ConnectorContract):
    """The common suite."""


async def test_a_terminal_sees_everything_live_and_in_order(surface: LocalSurface) -> None:
    connector = surface.connector()
    async with running(connector), Link(surface.socket, USER) as link:
        await link.ask("send", room="ops", text="question")
        await connector.typing("ops", True)
        sent = await connector.send(Target("ops"), Content("answer"), "t1")
        assert isinstance(sent, Sent)
        await connector.react(Target("ops"), sent.ref, "✅", "t2")
        facts = link.facts()
        seen = [await asyncio.wait_for(anext(facts), 20) for _ in range(4)]
    shown = [f for f in seen if f["event"] != "typing"]
    assert [(f["event"], f.get("text") or f.get("emoji")) for f in shown] == [
        ("message", "question"),
        ("message", "answer"),
        ("reaction", "✅"),
    ]
    assert [f["bot"] for f in shown] == [False, True, True]


async def test_a_torn_last_line_is_cut_off_and_the_rest_kept(surface: LocalSurface) -> None:
    async with running(surface.connector()) as before:
        await surface.say("whole")
        await before.text("whole")
        cursor = before.cursor
    path = surface.folder / "local" / "timeline.jsonl"
    with path.open("ab") as handle:
        handle.write(b'{"kind":"message","room":"ops","te')
    async with running(surface.connector(), cursor) as after:
        await surface.say("next")
        await after.text("next")
        assert [s.text for s in await surface.shown()] == ["whole", "next"]
    assert after.texts == ["next"]


async def test_a_deleted_timeline_begins_anew_with_ids_of_its_own(surface: LocalSurface) -> None:
    async with running(surface.connector()) as before:
        old = await surface.say("old")
        await before.text("old")
        cursor = before.cursor
    (surface.folder / "local" / "timeline.jsonl").unlink()
    async with running(surface.connector(), cursor) as after:
        new = await surface.say("new")
        await after.text("new")
    assert old != new


async def test_an_unreadable_timeline_is_kept_aside(surface: LocalSurface) -> None:
    folder = surface.folder / "local"
    folder.mkdir()
    (folder / "timeline.jsonl").write_text("not ours\n")
    async with running(surface.connector()) as reading:
        await surface.say("hello")
        await reading.text("hello")
    (aside,) = folder.glob("timeline.unreadable-*")
    assert aside.read_text() == "not ours\n"


async def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "local").write_text("a file where a folder must be")
    connector = LocalConnector(tmp_path / "local", rooms=("ops",))
    with pytest.raises(StartError, match=r"timeline\.jsonl"):
        await connector.start(None)


async def test_bad_requests_are_answered_and_the_terminal_stays(surface: LocalSurface) -> None:
    async with running(surface.connector()), Link(surface.socket, USER) as link:
        for op, fields in (
            ("fly", {}),
            ("send", {"room": "nowhere", "text": "x"}),
            ("send", {"room": "ops"}),
            ("react", {"target": "99", "emoji": "x"}),
            ("send", {"room": "ops", "text": "", "files": ["/does/not/exist"]}),
        ):
            with pytest.raises(Refused):
                await link.ask(op, **fields)
        assert (await link.ask("send", room="ops", text="fine"))["ref"]
        assert (await link.ask("complete", text="fle"))["choices"] == ["fle done"]


async def test_nobody_changes_what_another_said(surface: LocalSurface) -> None:
    connector = surface.connector()
    async with running(connector):
        ref = await surface.say("mine")
        assert isinstance(await connector.edit(Target("ops"), ref, Content("yours"), "x1"), Rejected)
        sent = await connector.send(Target("ops"), Content("the bot's"), "x2")
        assert isinstance(sent, Sent)
        with pytest.raises(Refused, match="only who wrote"):
            await surface.edit(sent.ref, "forged")


async def test_a_message_is_found_by_the_number_people_see(surface: LocalSurface) -> None:
    async with running(surface.connector()) as reading:
        ref = await surface.say("root")
        await surface.ask("send", room="ops", text="inside", thread=ref.partition("-")[0])
        event = await reading.text("inside")
    assert event.thread == ref


async def test_a_file_reference_cannot_leave_its_folder(surface: LocalSurface, tmp_path: Path) -> None:
    connector = surface.connector()
    async with running(connector) as reading:
        source = tmp_path / "a.txt"
        source.write_text("x")
        await surface.say_file(source, "look")
        (file,) = (await reading.text("look")).files
    outside = type(file)("../timeline.jsonl", "t", "text/plain")
    assert not await connector.download(outside, tmp_path / "stolen", 10_000_000)


async def _answering(connector: LocalConnector, reading: Any, text: str, answer: Content) -> None:
    event = await reading.text(text)
    await connector.send(Target("ops"), Content("waiting for mos", reply_to=event.id), "n:" + event.id)
    await connector.send(
        Target("ops"), Content(answer.text, silent=answer.silent, reply_to=event.id), "a:" + event.id
    )


@pytest.mark.parametrize(("text", "silent"), [("!fleet ps", True), ("how are you?", False)])
async def test_one_message_waits_for_its_answer(surface: LocalSurface, text: str, silent: bool) -> None:
    out, err = io.StringIO(), io.StringIO()
    connector = surface.connector()
    async with running(connector) as reading:
        answer = asyncio.create_task(_answering(connector, reading, text, Content("fine", silent=silent)))
        code = await chat_main(
            surface.socket, room="ops", message=text, wait_s=30, stdin=io.StringIO(), stdout=out, stderr=err
        )
        await answer
    told = [orjson.loads(line)["text"] for line in out.getvalue().splitlines()]
    assert (code, told, err.getvalue()) == (0, ["waiting for mos", "fine"], "")


async def test_no_answer_is_exit_1_and_no_bot_is_exit_6_and_no_room_is_exit_3(surface: LocalSurface) -> None:
    async def run(socket: Path, room: str) -> tuple[int, str]:
        err = io.StringIO()
        code = await chat_main(
            socket, room=room, message="hm", wait_s=0.2, stdin=io.StringIO(), stdout=io.StringIO(), stderr=err
        )
        return code, err.getvalue()

    async with running(surface.connector()):
        assert (await run(surface.socket, "ops"))[0] == 1
        code, told = await run(surface.socket, "nowhere")
        assert code == 3
        assert "ops, log" in told
    code, told = await run(surface.folder / "nobody", "ops")
    assert code == 6
    assert "mosaic bot run" in told


async def test_lines_in_and_json_out(surface: LocalSurface) -> None:
    connector = surface.connector()
    read, write = os.pipe()
    out = io.StringIO()

    def facts() -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in out.getvalue().splitlines()]

    with os.fdopen(read) as source, os.fdopen(write, "w", buffering=1) as keys:
        async with running(connector) as reading:
            chat = asyncio.create_task(chat_main(surface.socket, room="ops", stdin=source, stdout=out))
            keys.write("hello\n/nonsense\n")
            event = await reading.text("hello")
            number = event.id.partition("-")[0]
            keys.write(f"/thread {number} deeper\n/react {number} ✅\n/room log\n//slash\n")
            threaded, slashed = await reading.text("deeper"), await reading.text("/slash")
            await connector.send(Target("log"), Content("seen"), "l1")
            await eventually(lambda: any(f.get("text") == "seen" for f in facts()))
            keys.write("/quit\n")
            assert await asyncio.wait_for(chat, 20) == 0
    assert threaded.thread == event.id
    assert slashed.room == "log"
    kinds = [f["event"] for f in facts()]
    assert kinds[0] == "hello"
    assert {"message", "reaction", "receipt", "error", "room"} <= set(kinds)


async def test_ended_input_still_hears_its_answer(surface: LocalSurface) -> None:
    connector, out = surface.connector(), io.StringIO()
    async with running(connector) as reading:
        answer = asyncio.create_task(_answering(connector, reading, "!ping", Content("pong")))
        code = await chat_main(surface.socket, room="ops", stdin=io.StringIO("!ping\n"), stdout=out)
        await answer
    assert code == 0
    assert "pong" in out.getvalue()
