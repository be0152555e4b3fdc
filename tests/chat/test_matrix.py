"""The Matrix connector against a real Synapse, seen by a client that shares no code with it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import pytest_asyncio
from chat_support import PASSWORD, Person, free_port, new_account
from contract import ConnectorContract, Shown, eventually, running

from bot.homeserver import Homeserver, HomeserverError
from connectors.matrix.connector import MatrixConnector
from connectors.protocol import (
    Content,
    LinkState,
    MessageReceived,
    Rejected,
    Sent,
    StartError,
    Target,
    Unavailable,
    Undecryptable,
)
from demo.matrix_client import MatrixClient, MatrixRefused
from demo.matrix_seen import Seen

pytestmark = pytest.mark.asyncio(loop_scope="session")


class MatrixSurface:
    """A private room of a person and the bot."""

    def __init__(self, server: Homeserver, ana: MatrixClient, bot: str, room: str, store: Path) -> None:
        self.server = server
        self.ana = ana
        self.bot = bot
        self.room = room
        self.store = store
        self.person_id = ana.user_id

    def connector(self, **other: object) -> MatrixConnector:
        given: dict[str, object] = {
            "homeserver": self.server.url,
            "user_id": self.bot,
            "password": PASSWORD,
            "token": None,
            "store": self.store,
            "rooms": frozenset([self.room]),
            "allowed_inviters": frozenset([self.ana.user_id]),
        }
        return MatrixConnector(**(given | other))  # type: ignore[arg-type]

    async def say(self, text: str, thread: str | None = None, reply_to: str | None = None) -> str:
        return await self.ana.send(self.room, text, thread=thread, reply_to=reply_to)

    async def edit(self, ref: str, text: str) -> str:
        return await self.ana.edit(self.room, ref, text)

    async def react(self, ref: str, emoji: str) -> str:
        return await self.ana.react(self.room, ref, emoji)

    async def redact(self, ref: str) -> str:
        return await self.ana.redact(self.room, ref)

    async def say_file(self, path: Path, caption: str) -> str:
        return await self.ana.send_file(self.room, path, "text/plain", caption)

    async def shown(self) -> list[Shown]:
        return [_shown(seen) for seen in await self.ana.history(self.room)]

    async def fetch(self, shown: Shown) -> bytes:
        return await self.ana.fetch(shown.file or "")


def _shown(seen: Seen) -> Shown:
    kind = (
        "redaction" if seen.redacts else "reaction" if seen.reaction else "edit" if seen.edits else "message"
    )
    target = seen.redacts or seen.edits or (seen.reaction[0] if seen.reaction else None)
    pings = tuple(seen.pings)
    return Shown(kind, seen.id, seen.text, target, seen.thread, seen.reply_to, pings, seen.content.get("url"))


@pytest_asyncio.fixture(loop_scope="session")
async def surface(homeserver: Homeserver, person: Person, tmp_path: Path) -> MatrixSurface:
    ana = await person("ana")
    bot = await new_account(homeserver, "bot")
    room = await ana.create_room("ops", invite=[bot])
    return MatrixSurface(homeserver, ana, bot, room, tmp_path / "matrix")


class TestMatrix(ConnectorContract):
    """The common suite."""


async def test_silence_and_pings_are_explicit(surface: MatrixSurface) -> None:
    connector, here = surface.connector(), Target(surface.room)
    async with running(connector):
        quiet = await connector.send(here, Content(f"for {surface.person_id}", html="<b>for you</b>"), "p1")
        loud = await connector.send(here, Content("look", ping=(surface.person_id,), silent=False), "p2")
        assert isinstance(quiet, Sent)
        assert isinstance(loud, Sent)
    seen = {s.id: s for s in await surface.ana.history(surface.room)}
    assert seen[quiet.ref].msgtype == "m.notice"
    assert seen[quiet.ref].content["m.mentions"] == {}
    assert seen[quiet.ref].html == "<b>for you</b>"
    assert seen[loud.ref].msgtype == "m.text"
    assert seen[loud.ref].pings == [surface.person_id]


async def test_a_notice_and_a_quoted_command_do_not_command(surface: MatrixSurface) -> None:
    async with running(surface.connector()) as reading:
        await surface.ana.send(surface.room, "!fleet ps", msgtype="m.notice")
        notice = await reading.text("!fleet ps")
        root = await surface.say("> !fleet stop all\n\nwhat was this?", reply_to=notice.id)
        quoting = await reading.until(lambda e: e.id == root)
    assert not notice.is_command_capable
    assert isinstance(quoting, MessageReceived)
    assert quoting.text == "what was this?"


async def test_mentions_and_direct_rooms_are_known(surface: MatrixSurface, person: Person) -> None:
    async with running(surface.connector()) as reading:
        await surface.ana.send(surface.room, "you there?", mention=[surface.bot])
        direct = await reading.text("you there?")
        third = await person("carl")
        await surface.ana.invite(surface.room, third.user_id)
        await third.join(surface.room)
        await surface.say("now we are three")
        group = await reading.text("now we are three")
    assert direct.mentions_me
    assert direct.is_direct
    assert not group.mentions_me
    assert not group.is_direct


async def test_only_invites_of_allowed_people_are_followed(surface: MatrixSurface, person: Person) -> None:
    stranger = await person("stranger")
    async with running(surface.connector()) as reading:
        trap = await stranger.create_room("trap", invite=[surface.bot])
        wanted = await surface.ana.create_room("second", invite=[surface.bot])
        await surface.ana.wait_for(
            lambda s: (
                s.room == wanted
                and s.type == "m.room.member"
                and s.content.get("membership") == "join"
                and s.raw.get("state_key") == surface.bot
            )
        )
        await surface.ana.send(wanted, "welcome")
        event = await reading.text("welcome")
    assert event.room == wanted
    assert surface.bot not in await stranger.members(trap)


async def test_what_was_said_before_joining_is_not_told(surface: MatrixSurface) -> None:
    async with running(surface.connector()) as reading:
        room = await surface.ana.create_room("old talk")
        await surface.ana.send(room, "!fleet stop everything")
        await surface.ana.invite(room, surface.bot)
        await surface.ana.wait_for(
            lambda s: s.room == room and s.raw.get("state_key") == surface.bot and s.sender == surface.bot
        )
        await surface.ana.send(room, "hello newcomer")
        await reading.text("hello newcomer")
    assert "!fleet stop everything" not in reading.texts


async def test_an_encrypted_message_is_said_to_be_unreadable(surface: MatrixSurface) -> None:
    async with running(surface.connector()) as reading:
        sealed = {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": "AwgA",
            "session_id": "s",
            "device_id": "D",
        }
        ref = await surface.ana.put(surface.room, "m.room.encrypted", sealed)
        event = await reading.until(lambda e: e.id == ref)
    assert isinstance(event, Undecryptable)


async def test_malformed_events_of_others_harm_nothing(surface: MatrixSurface) -> None:
    strange: list[dict[str, object]] = [
        {"body": "", "msgtype": "m.image", "url": 7, "info": []},
        {"body": "no kind"},
        {"body": "odd", "msgtype": "m.text", "m.relates_to": [1], "m.mentions": "you"},
        {"body": "no target", "msgtype": "m.text", "m.relates_to": {"rel_type": "m.replace", "event_id": 1}},
    ]
    async with running(surface.connector()) as reading:
        taken = 0
        for content in strange:
            with contextlib.suppress(MatrixRefused):  # servers differ in what they let through
                await surface.ana.put(surface.room, "m.room.message", content)
                taken += 1
        await surface.say("still here")
        await reading.text("still here")
    assert taken
    assert {"no kind", "no target"}.isdisjoint(reading.texts)


async def test_too_long_for_one_event_is_cut_and_said(surface: MatrixSurface) -> None:
    connector = surface.connector()
    async with running(connector):
        outcome = await connector.send(Target(surface.room), Content("ä" * 80_000, html="ä" * 80_000), "huge")
    assert isinstance(outcome, Sent)
    seen = {s.id: s for s in await surface.ana.history(surface.room)}[outcome.ref]
    assert len(seen.text) > 25_000
    assert "more characters did not fit" in seen.text


async def test_the_same_emoji_twice_is_no_failure(surface: MatrixSurface) -> None:
    connector, here = surface.connector(), Target(surface.room)
    async with running(connector):
        ref = await surface.say("mark me")
        assert isinstance(await connector.react(here, ref, "👀", "e1"), Sent)
        assert isinstance(await connector.react(here, ref, "👀", "e2"), Sent)


async def test_a_wrong_password_is_told_with_its_mend(surface: MatrixSurface) -> None:
    connector = surface.connector(password="wrong")
    with pytest.raises(StartError) as told:
        await connector.start(None)
    assert surface.bot in str(told.value)
    assert "password_file" in str(told.value)
    assert "wrong" not in str(told.value).replace("wrong password", "")
    assert connector.status.state is LinkState.STOPPED
    assert await connector.probe() == str(told.value)
    await connector.stop()


async def test_a_token_of_somebody_else_is_told(surface: MatrixSurface) -> None:
    connector = surface.connector(password=None, token=surface.ana.token)
    with pytest.raises(StartError, match="belongs to"):
        await connector.start(None)
    await connector.stop()


async def test_the_sign_in_is_kept_and_private(surface: MatrixSurface) -> None:
    async with running(surface.connector()):
        kept = surface.store / "session.json"
        first = kept.read_text()
        assert kept.stat().st_mode & 0o077 == 0
    async with running(surface.connector(password=None)):  # the kept token alone is enough
        assert kept.read_text() == first


async def _log_out(surface: MatrixSurface) -> None:
    """End every sign-in of the bot from the server's side."""
    other = MatrixClient(surface.server.url, surface.bot, PASSWORD)
    await other.login()
    await other.call("POST", "/_matrix/client/v3/logout/all", {})
    await other.close()


async def test_a_dead_token_is_replaced_with_the_password_on_the_same_device(surface: MatrixSurface) -> None:
    connector = surface.connector()
    async with running(connector) as reading:
        await surface.say("one")
        await reading.text("one")
        before = json.loads((surface.store / "session.json").read_text())
        await _log_out(surface)
        sent = await connector.send(Target(surface.room), Content("still talking"), "relogin1")
        await surface.say("two")
        await reading.text("two")
        after = json.loads((surface.store / "session.json").read_text())
    assert isinstance(sent, Sent)
    assert reading.texts == ["one", "two"]
    assert after["token"] != before["token"]
    assert after["device_id"] == before["device_id"]


async def test_a_dead_token_without_a_password_stops_and_says_so(surface: MatrixSurface) -> None:
    async with running(surface.connector()):
        pass
    connector = surface.connector(password=None)
    async with running(connector) as reading:
        await _log_out(surface)
        await eventually(lambda: reading.ended)
        assert connector.status.state is LinkState.STOPPED
        assert "token" in connector.status.detail
        outcome = await connector.send(Target(surface.room), Content("x"), "dead1")
        assert isinstance(outcome, Unavailable)


async def test_an_absent_homeserver_is_waited_for(surface: MatrixSurface) -> None:
    connector = surface.connector(homeserver=f"http://127.0.0.1:{free_port()}")
    async with running(connector):
        assert connector.status.state is LinkState.DOWN
        problem = await connector.probe()
        assert problem is not None
        assert "connectors.matrix.homeserver" in problem


async def test_a_room_that_nobody_invited_us_to_is_named(surface: MatrixSurface) -> None:
    closed = await surface.ana.create_room("closed")
    connector = surface.connector(rooms=frozenset([surface.room, closed]))
    async with running(connector) as reading:
        assert connector.status.state is LinkState.UP
        assert closed in connector.status.detail
        assert isinstance(await connector.send(Target(closed), Content("x"), "c1"), Rejected)
        await surface.ana.invite(closed, surface.bot)
        await eventually(lambda: connector.status.detail == "")
        await surface.ana.send(closed, "come in")
        await reading.text("come in")


async def test_a_stopped_and_started_homeserver_loses_nothing(surface: MatrixSurface) -> None:
    connector, here = surface.connector(), Target(surface.room)
    async with running(connector) as reading:
        await surface.say("before")
        await reading.text("before")
        await surface.server.stop()
        outcome = await connector.send(here, Content("said in between"), "outage1")
        assert isinstance(outcome, Unavailable)
        await eventually(lambda: connector.status.state is LinkState.DOWN)
        await surface.server.start()
        again = await connector.send(here, Content("said in between"), "outage1")
        assert isinstance(again, Sent)
        await surface.say("after")
        await reading.text("after")
        assert connector.status.state is LinkState.UP
    assert reading.texts == ["before", "after"]
    assert [s.text for s in await surface.shown()].count("said in between") == 1


async def test_a_second_homeserver_on_the_port_is_refused_in_words(
    homeserver: Homeserver, tmp_path: Path
) -> None:
    other = Homeserver(tmp_path / "other", homeserver.python)
    other.write_config(homeserver.port)
    with pytest.raises(HomeserverError, match="in use"):
        await other.start()
    missing = Homeserver(tmp_path / "third", tmp_path / "no-python")
    missing.write_config(free_port())
    with pytest.raises(HomeserverError, match="not installed"):
        await missing.start()
    with pytest.raises(HomeserverError, match="never changes"):
        missing.write_config(free_port(), "another.localhost")
