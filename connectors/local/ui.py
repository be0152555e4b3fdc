"""`mosaic chat` in a terminal: what happens scrolls above the prompt, Tab completes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import print_formatted_text

from connectors.local.link import Link, NoBot, Refused
from connectors.local.words import HELP, shown, understand

FIRST_LINES = 20
VERBS = (
    "/room",
    "/rooms",
    "/thread",
    "/reply",
    "/react",
    "/edit",
    "/redact",
    "/file",
    "/history",
    "/help",
    "/quit",
)


class Endings(Completer):
    """Verbs and rooms are known here; commands are asked of the bot."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:
        """Only the asynchronous way is used."""
        return []

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        text = document.text_before_cursor
        if text.startswith("/room "):
            choices = [f"/room {name}" for name in self._link.rooms]
        elif text.startswith("/"):
            choices = list(VERBS)
        else:
            try:
                answer = await self._link.ask("complete", text=text) if text else {}
            except (NoBot, Refused):
                answer = {}
            choices = [str(choice) for choice in answer.get("choices") or ()]
        for choice in choices:
            if choice.startswith(text):
                yield Completion(choice, start_position=-len(text))


class Ui:
    """The state of one open chat: the room that is looked at, and who is typing where."""

    def __init__(self, link: Link, room: str) -> None:
        self._link = link
        self._room = room
        self._typing: set[str] = set()
        self._session: PromptSession[str] = PromptSession(
            completer=Endings(link), complete_while_typing=False, bottom_toolbar=self._toolbar
        )

    def _toolbar(self) -> FormattedText:
        busy = " · writing …" if self._room in self._typing else ""
        return FormattedText([("", f" #{self._room} · {self._link.user}{busy} · /help")])

    async def run(self) -> int:
        """Until /quit, Ctrl-D or Ctrl-C. Raises NoBot when the connection ends."""
        with patch_stdout():
            await self._history(FIRST_LINES)
            facts = asyncio.create_task(self._facts(), name="chat facts")
            typing = asyncio.create_task(self._input(), name="chat input")
            try:
                await asyncio.wait({facts, typing}, return_when=asyncio.FIRST_COMPLETED)
                if typing.done():
                    typing.result()
                    return 0
                raise NoBot("The bot hung up.")
            finally:
                for task in (facts, typing):
                    task.cancel()
                await asyncio.wait({facts, typing}, timeout=2)

    async def _facts(self) -> None:
        async for fact in self._link.facts():
            if fact.get("event") == "typing":
                (self._typing.add if fact.get("on") else self._typing.discard)(str(fact.get("room")))
                self._session.app.invalidate()
            else:
                self._print(fact)

    def _print(self, fact: dict[str, Any]) -> None:
        text = shown(fact, self._room)
        if text is not None:
            print_formatted_text(FormattedText([("", text)]))

    async def _history(self, limit: int) -> None:
        if not self._room:
            return
        answer = await self._link.ask("history", room=self._room, limit=limit)
        for fact in answer["events"]:
            self._print(fact)

    async def _input(self) -> None:
        while True:
            try:
                line = await self._session.prompt_async(lambda: f"#{self._room}> ")
            except (EOFError, KeyboardInterrupt):
                return
            if not await self._do(line):
                return

    async def _do(self, line: str) -> bool:
        typed = understand(line, self._room)
        fields = dict(typed.fields)
        try:
            match typed.op:
                case "quit":
                    return False
                case "nothing":
                    pass
                case "help":
                    self._print({"event": "error", "text": HELP})
                case "wrong":
                    self._print({"event": "error", "text": fields["text"]})
                case "room" if fields["name"] in self._link.rooms:
                    self._room = fields["name"]
                    await self._history(FIRST_LINES)
                case "room":
                    self._print({"event": "rooms", "rooms": self._link.rooms})
                case "history":
                    await self._history(fields["limit"])
                case "rooms":
                    self._print(await self._link.ask("rooms"))
                case op:
                    await self._link.ask(op, **fields)
        except Refused as problem:
            self._print({"event": "error", "text": str(problem)})
        return True


async def run_ui(link: Link, room: str) -> int:
    """The chat on this terminal; returns the exit code. Raises NoBot when the bot goes away."""
    return await Ui(link, room).run()
