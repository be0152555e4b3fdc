"""The CLI-only words: bot run, node, chat, init, config check, compose-contract."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, NoReturn

from bot.host_needs import lacking
from bot.render.terminal import show_error

if TYPE_CHECKING:
    from fleet.home import Home

FAILED, USAGE, RUNNING = 1, 3, 5


class _Usage(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    """argparse without its own exit codes."""

    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message}\n{self.format_usage().strip()}")


def run_program_of(words: list[str], home: Home) -> int:
    """Run the program named by the first word; returns its exit code."""
    try:
        return _PROGRAMS[words[0]](words[1:], home)
    except _Usage as problem:
        show_error(str(problem))
        return USAGE
    except SystemExit as done:  # argparse after -h
        return int(done.code or 0)


def _bot(words: list[str], home: Home) -> int:
    parser = _Parser("mosaic bot", description="Run the bot in the foreground until Ctrl-C.")
    parser.add_argument("verb", choices=["run"])
    parser.parse_args(words)
    return asyncio.run(_run_bot(home))


async def _run_bot(home: Home) -> int:
    from bot.config import ConfigError, load_config, refuse_unbuilt
    from fleet.roster.problem import RosterError

    try:
        config = load_config(home.config)
        refuse_unbuilt(config, home.config)
    except ConfigError as problem:
        show_error(str(problem))
        return USAGE
    if (missing := lacking()) is not None:
        show_error(missing)
        return FAILED

    from bot.app import run_bot
    from bot.health import ListenError
    from bot.networks import FirstContactError
    from fleet.register.errors import AlreadyRunning, RegisterError

    try:
        return await run_bot(home, config, _say)
    except AlreadyRunning as problem:
        show_error(str(problem))
        return RUNNING
    except (ConfigError, RosterError) as problem:
        show_error(str(problem))
        return USAGE
    except (RegisterError, FirstContactError, ListenError) as problem:
        show_error(str(problem))
        return FAILED
    except OSError as problem:
        show_error(f"The bot cannot run: {problem}. Mend that and start it again.")
        return FAILED


def _node(words: list[str], home: Home) -> int:
    parser = _Parser("mosaic node", description="Run this host's node in the foreground until Ctrl-C.")
    parser.parse_args(words)
    if (missing := lacking()) is not None:
        show_error(missing)
        return FAILED
    from fleet.node.app import run_node
    from fleet.roster.problem import RosterError

    try:
        return asyncio.run(run_node(home))
    except RosterError as problem:
        show_error(str(problem))
        return USAGE
    except OSError as problem:
        show_error(f"The node cannot run: {problem}. Mend that and start it again.")
        return FAILED


def _chat(words: list[str], home: Home) -> int:
    parser = _Parser(
        "mosaic chat",
        description="The local chat surface. Without a terminal: lines in, one JSON event a line out.",
    )
    parser.add_argument("--room", help="which room (default: the first)")
    parser.add_argument("-m", "--message", help="send this one and wait for the answer")
    parser.add_argument("--wait", type=float, help="how many seconds to wait for answers")
    given = parser.parse_args(words)
    from connectors.local.client import chat_main

    work = chat_main(home.bot_socket, room=given.room, message=given.message, wait_s=given.wait)
    return asyncio.run(work)


def _init(words: list[str], home: Home) -> int:
    from bot.cli_init import init_main

    return init_main(
        words, home, _Parser("mosaic init", description="Make a Mosaic home; what is there stays.")
    )


def _config(words: list[str], home: Home) -> int:
    parser = _Parser(
        "mosaic config", description="Check the configuration; prints it in force, secrets hidden."
    )
    parser.add_argument("verb", choices=["check"])
    parser.parse_args(words)
    import yaml

    from bot.config import ConfigError, load_config, refuse_unbuilt

    try:
        config = load_config(home.config)
        refuse_unbuilt(config, home.config)
        matrix = config.connectors.matrix
        if matrix is not None:  # a secret that cannot be read is a mistake of the configuration
            _ = (matrix.password(), matrix.token())
    except ConfigError as problem:
        show_error(str(problem))
        return USAGE
    sys.stdout.write(yaml.safe_dump(config.effective(), sort_keys=False, allow_unicode=True))
    talkers = config.access.on_call("matrix")
    local = " and whoever is this Unix user, on the local surface" if config.connectors.local.enabled else ""
    sys.stdout.write(
        f"# may talk to agents, so may run code as this user: {', '.join(talkers) or 'nobody'}{local}\n"
    )
    for note in config.notes():
        sys.stdout.write(f"# note: {note}\n")
    return 0


def _contract(words: list[str], home: Home) -> int:
    parser = _Parser("mosaic compose-contract", description="Print the system prompt of a runtime.")
    parser.add_argument("runtime")
    parser.add_argument("--role", help="with the contract of this class")
    given = parser.parse_args(words)
    from fleet.launch.contract import compose_contract

    sys.stdout.write(compose_contract(home, given.runtime, given.role).rstrip("\n") + "\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


_PROGRAMS = {
    "bot": _bot,
    "node": _node,
    "chat": _chat,
    "init": _init,
    "config": _config,
    "compose-contract": _contract,
}
