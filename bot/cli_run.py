"""A command in a terminal: fleet verbs run here, without the bot; the others go through its socket."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.commands.context import Caller, Plan
from bot.commands.dispatch import Dispatcher
from bot.commands.find import Found, Looked, Overview, find
from bot.commands.registry import Effect, Needs
from bot.document import Document, Pairs, Text, Tone
from bot.host_needs import lacking
from bot.render.terminal import show, show_error
from bot.render.wire import WireError, decode_document
from bot.roles import Role

if TYPE_CHECKING:
    from fleet.home import Home
    from fleet.model import Roster, Snapshot

BOT_DOWN = 6
SOCKET_LIMIT_S = 150.0
LINE_LIMIT = 64 * 1024 * 1024  # bytes
WATCH_S = 2.0
_NO_TMUX_NEEDED = frozenset(
    {
        ("fleet", "profiles"),
        ("fleet", "verify"),
        ("fleet", "comms-block"),
        ("agent", "roster"),
        ("agent", "list"),
    }
)


def run_words(words: list[str], home: Home) -> int:
    """One command, or help. Returns the exit code."""
    _quiet_logs(home)
    words, every_s = _take_watch(words)
    if every_s is not None:
        return asyncio.run(_watch(words, home, every_s))
    return asyncio.run(_once(words, home))


async def _once(words: list[str], home: Home) -> int:
    looked = find(words)
    if isinstance(looked, Found) and looked.command.needs is Needs.BOT and not _wants_help(looked):
        document = await _through_bot(words, home)
    else:
        document = await _here(words, home)
    if isinstance(looked, Overview) and looked.group is None:
        document = _with_programs(document)
    return _print(document, words)


# --- in this process ---------------------------------------------------------------------------------------


async def _here(words: list[str], home: Home) -> Document:
    from fleet.roster.problem import RosterError

    looked = find(words)
    if _needs_tmux(looked) and (missing := lacking()) is not None:
        return Document.failure(missing)
    try:
        caller = await _caller(looked, home)
    except RosterError as problem:
        return Document.failure(str(problem), exit_code=3)
    dispatcher = Dispatcher(
        home=home,
        now=_now,
        roster=lambda: _roster(home),
        snapshot=lambda: _snapshot(home),
        services=None,
        ask=_ask if sys.stdin.isatty() and sys.stderr.isatty() else None,
    )
    return await dispatcher.run(words, caller)


def _needs_tmux(looked: Looked) -> bool:
    if not isinstance(looked, Found):
        return False
    return len(looked.command.path) == 2 and looked.command.path not in _NO_TMUX_NEEDED


async def _caller(looked: Looked, home: Home) -> Caller:
    """The owner, or the agent in whose pane this runs. Only acts and `whoami` ask tmux for it."""
    user = getpass.getuser()
    owner = Caller("cli", f"local:{user}", Role.ADMIN)
    if not isinstance(looked, Found):
        return owner
    if looked.command.effect is Effect.READ and looked.command.path != ("whoami",):
        return owner
    if not home.roster.exists():
        return owner
    from fleet.observe.who import Place, place_call

    placed = await place_call(home, await _roster(home))
    if placed.place is Place.AGENT and placed.agent:
        return Caller("cli", f"agent:{placed.agent}", Role.VIEWER, agent=placed.agent)
    if placed.place is Place.OUTSIDE:
        return owner
    return Caller("cli", f"unverified:{user}", Role.VIEWER)


async def _roster(home: Home) -> Roster:
    from fleet.roster.cache import current_roster

    return await asyncio.to_thread(current_roster, home)


async def _snapshot(home: Home) -> Snapshot:
    from fleet.observe.snapshot import observe

    return await observe(home, await _roster(home))


async def _ask(plan: Plan) -> bool:
    """y/N at the terminal; anything but y is no."""
    sys.stderr.write(f"{plan.effect}\nDo it? [y/N] ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return (await answer).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())


async def _watch(words: list[str], home: Home, every_s: float) -> int:
    """The same again until Ctrl-C; on a tty in place."""
    while True:
        document = await _here(words, home)
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[H\x1b[2J")
        code = _print(document, words)
        if not document.ok:
            return code
        await asyncio.sleep(every_s)


# --- through the bot ---------------------------------------------------------------------------------------


async def _through_bot(words: list[str], home: Home) -> Document:
    what = " ".join(words[:2])
    down = (
        f"`mosaic {what}` needs the bot, which does not run for {home.root}. Start it with `mosaic bot run`."
    )
    try:
        reader, writer = await asyncio.open_unix_connection(str(home.bot_socket), limit=LINE_LIMIT)
    except OSError:
        return Document.failure(down, exit_code=BOT_DOWN)
    try:
        async with asyncio.timeout(SOCKET_LIMIT_S):
            request = {
                "op": "run",
                "argv": words,
                "user": getpass.getuser(),
                "pane": os.environ.get("TMUX_PANE"),
            }
            writer.write(json.dumps({**request, "json": _wants_json(words)}).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        reply: dict[str, Any] = json.loads(line)
        if "document" not in reply:
            return Document.failure(f"The bot refused: {reply.get('error', 'no reason given')}.")
        return decode_document(reply["document"])
    except TimeoutError:
        return Document.failure(f"The bot did not answer within {SOCKET_LIMIT_S:.0f} s. Look at its log.")
    except (OSError, ValueError, WireError):
        return Document.failure(f"The bot ended the call without an answer. {down}", exit_code=BOT_DOWN)
    finally:
        writer.close()


# --- output ------------------------------------------------------------------------------------------------


def _print(document: Document, words: list[str]) -> int:
    """Answers to stdout, failures to stderr: what a pipe reads is only ever an answer."""
    if not document.ok and all(isinstance(b, Text) and b.tone is Tone.BAD for b in document.blocks):
        text = "\n".join(block.text for block in document.blocks if isinstance(block, Text))
        show_error(text)
    elif _wants_json(words):
        sys.stdout.write(json.dumps(document.data, ensure_ascii=False, indent=1) + "\n")
    else:
        show(document, sys.stdout, os.environ)
    return document.exit_code


def _with_programs(document: Document) -> Document:
    programs = Pairs(
        (
            ("bot run", "the bot, in the foreground"),
            ("node", "this host's node, in the foreground"),
            ("chat", "the local chat surface"),
            ("init", "make a home; --local-only needs nothing else"),
            ("config check", "check the configuration and show what is in force"),
            ("yolo RUNTIME", "start an agent program with its contract"),
            ("compose-contract", "print that contract"),
            ("--mosaic-home DIR", "which home, anywhere; default $MOSAIC_HOME, then ~/.config/mosaic"),
        )
    )
    return Document((*document.blocks, programs), document.data, document.ok, document.exit_code)


def _wants_json(words: list[str]) -> bool:
    end = words.index("--") if "--" in words else len(words)
    return any(word == "--json" or word.startswith("--json=") for word in words[:end])


def _wants_help(looked: Found) -> bool:
    end = looked.rest.index("--") if "--" in looked.rest else len(looked.rest)
    return any(word in {"-h", "--help"} for word in looked.rest[:end])


def _take_watch(words: list[str]) -> tuple[list[str], float | None]:
    """`fleet ps --watch [S]` is the terminal's own: the words without it, and every how many seconds."""
    if words[:2] != ["fleet", "ps"] and words[:1] != ["ps"]:
        return words, None
    for n, word in enumerate(words):
        if word == "--watch" or word.startswith("--watch="):
            value = word.partition("=")[2]
            after = words[n + 1 :]
            if not value and after and after[0].replace(".", "", 1).isdigit():
                value, after = after[0], after[1:]
            return [*words[:n], *after], max(0.5, float(value)) if value.replace(
                ".", "", 1
            ).isdigit() else WATCH_S
    return words, None


def _quiet_logs(home: Home) -> None:
    """What a failure's reference points to goes to a file, never to the terminal."""
    handler = (
        logging.FileHandler(home.run / "mosaic.log", delay=True)
        if home.run.is_dir()
        else logging.NullHandler()
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _now() -> datetime:
    return datetime.now(UTC)
