"""`mosaic chat`: lines in and JSON facts out, or one message and its answers; the terminal's face is `ui`."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TextIO

import orjson

from connectors.local.link import Link, NoBot, Refused
from connectors.local.words import HELP, is_final, shown, understand

LINGER_S = 1.0  # after the answer: what belongs to it (a file, a second part) follows at once
AFTER_INPUT_S = 10.0  # how long an ended input still waits for the answer to its last line


async def chat_main(
    socket: Path,
    *,
    room: str | None = None,
    message: str | None = None,
    wait_s: float | None = None,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run `mosaic chat`; returns its exit code.

    With ``message``: send it to ``room`` and wait up to ``wait_s`` for the answer (0; 1 when none came).
    Otherwise a terminal gets the full surface, and anything else the line protocol. 6: the bot is down;
    3: no such room.
    """
    source, out, err = stdin or sys.stdin, stdout or sys.stdout, stderr or sys.stderr
    try:
        async with Link(socket, getpass.getuser()) as link:
            if room is not None and room not in link.rooms:
                err.write(f"There is no room {room!r} here. Rooms: {', '.join(link.rooms) or '(none)'}.\n")
                return 3
            current = room or (link.rooms[0] if link.rooms else "")
            if message is not None:
                return await _one(link, current, message, wait_s, out, err)
            if source.isatty() and out.isatty():
                from connectors.local.ui import run_ui

                return await run_ui(link, current)
            return await Lines(link, current, out, AFTER_INPUT_S if wait_s is None else wait_s).run(source)
    except NoBot as problem:
        err.write(f"{problem}\n")
        return 6
    except Refused as problem:
        err.write(f"Refused: {problem}\n")
        return 1


async def _one(link: Link, room: str, message: str, wait_s: float | None, out: TextIO, err: TextIO) -> int:
    receipt = await link.ask("send", room=room, text=message)
    if not wait_s:
        _write(out, receipt)
        return 0
    ref = str(receipt["ref"])
    answered = False
    facts = link.facts()
    until = asyncio.get_running_loop().time() + wait_s
    while True:
        left = until - asyncio.get_running_loop().time()
        fact = await _next(facts, min(left, LINGER_S) if answered else left)
        if fact is None:
            break
        if fact.get("room") == room and fact.get("event") != "typing" and fact.get("id") != ref:
            _tell(out, fact, room)
            answered = answered or is_final(fact, message, ref)
    if not answered:
        err.write(f"No answer within {wait_s:g} s.\n")
    return 0 if answered else 1


async def _next(facts: AsyncIterator[dict[str, Any]], limit_s: float) -> dict[str, Any] | None:
    """The next fact, or None when time or the connection is over."""
    try:
        async with asyncio.timeout(max(0.0, limit_s)):
            return await anext(facts, None)
    except TimeoutError:
        return None


def _tell(out: TextIO, fact: dict[str, Any], room: str) -> None:
    """For eyes where there are eyes, else JSON."""
    if not out.isatty():
        _write(out, fact)
    elif (text := shown(fact, room)) is not None:
        out.write(text + "\n")


def _write(out: TextIO, fact: dict[str, Any]) -> None:
    out.write(orjson.dumps(fact).decode() + "\n")
    out.flush()


class Lines:
    """The line protocol: what is typed is sent to the current room, what happens is printed as JSON."""

    def __init__(self, link: Link, room: str, out: TextIO, after_input_s: float) -> None:
        self._link = link
        self._room = room
        self._out = out
        self._after_input_s = after_input_s
        self._asked: tuple[str, str] | None = None  # text and id of the last message
        self._answered = asyncio.Event()
        self._early: list[dict[str, Any]] = []  # facts that came before the receipt of what they answer

    async def run(self, source: TextIO) -> int:
        """Until ``/quit``, the end of the input and its last answer, or the end of the connection."""
        _write(
            self._out,
            {"event": "hello", "user": self._link.user, "rooms": self._link.rooms, "room": self._room},
        )
        typing = asyncio.create_task(self._input(source), name="chat input")
        showing = asyncio.create_task(self._show(), name="chat facts")
        try:
            await asyncio.wait({typing, showing}, return_when=asyncio.FIRST_COMPLETED)
            if typing.done():
                typing.result()
                return 0
            raise NoBot("The bot hung up.")
        finally:
            typing.cancel()
            showing.cancel()
            await asyncio.wait({typing, showing}, timeout=2)

    async def _show(self) -> None:
        async for fact in self._link.facts():
            _write(self._out, fact)
            self._early = [*self._early[-50:], fact]
            self._look(fact)

    def _look(self, fact: dict[str, Any]) -> None:
        if self._asked is not None and is_final(fact, *self._asked):
            self._answered.set()

    async def _input(self, source: TextIO) -> None:
        async for line in lines_of(source):
            if not await self._do(line):
                return
        if self._asked is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), self._after_input_s)
            await asyncio.sleep(min(LINGER_S, self._after_input_s))

    async def _do(self, line: str) -> bool:
        """One typed line; False to leave."""
        typed = understand(line, self._room)
        fields = dict(typed.fields)
        match typed.op:
            case "quit":
                return False
            case "nothing":
                pass
            case "help":
                _write(self._out, {"event": "help", "text": HELP})
            case "wrong":
                _write(self._out, {"event": "error", "text": fields["text"]})
            case "room":
                if fields["name"] in self._link.rooms:
                    self._room = fields["name"]
                    _write(self._out, {"event": "room", "room": self._room})
                else:
                    told = f"there is no room {fields['name']!r}; rooms: {', '.join(self._link.rooms)}"
                    _write(self._out, {"event": "error", "text": told})
            case op:
                await self._ask(op, fields)
        return True

    async def _ask(self, op: str, fields: dict[str, Any]) -> None:
        if op == "send":
            self._asked = None
            self._answered.clear()
        try:
            answer = await self._link.ask(op, **fields)
        except Refused as problem:
            _write(self._out, {"event": "error", "text": str(problem)})
            return
        _write(self._out, answer)
        if op == "send":
            self._asked = (str(fields["text"]), str(answer["ref"]))
            for fact in self._early:
                self._look(fact)


async def lines_of(source: TextIO) -> AsyncIterator[str]:
    """The lines of any input, read in a thread of its own that nobody has to wait for.

    A file, a pipe and a terminal alike; a reader that is stuck in the system ends with the process.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(ValueError, OSError, RuntimeError):
            for line in source:
                loop.call_soon_threadsafe(queue.put_nowait, line)
        with contextlib.suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="chat input", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
