"""The commands that the documents show, run as they stand there against a running fleet."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bot.commands.find import Found, Overview, find
from bot.commands.registry import HelpWanted, parse
from demo.stack import Stack, missing_programs

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(missing_programs() is not None, reason=str(missing_programs())),
]

# Words of the terminal alone: they stay in the foreground, or make a home. Each has a test of its own.
TERMINAL = {
    "init",
    "node",
    "chat",
    "bot",
    "config",
    "compose-contract",
    "yolo",
    "claude",
    "codex",
    "pi",
    "opencode",
}


def shell_lines() -> list[tuple[str, str]]:
    """(document, command) for every `mosaic …` of a shell block."""
    found = []
    for path in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL):
            for line in block.splitlines():
                for part in re.split(r"&&|&|;", line.split("#", 1)[0]):
                    if part.strip().startswith("mosaic "):
                        found.append((path.name, part.strip()))
    return found


def chat_words() -> list[tuple[str, str]]:
    """(document, command) for every `!…` in inline code."""
    found = []
    for path in DOCUMENTS:
        for words in re.findall(r"`!([a-z][^`]*)`", path.read_text()):
            found.append((path.name, words))
    return found


async def test_there_are_commands_to_check() -> None:
    assert len(shell_lines()) >= 5
    assert len(chat_words()) >= 3


@pytest.mark.parametrize(("document", "command"), shell_lines())
async def test_a_shell_command_of_the_documents_works(stack: Stack, document: str, command: str) -> None:
    words = shlex.split(command)[1:]
    if words[0] in TERMINAL:
        code, said = await stack.fleet.mosaic("--help")
        assert code == 0
        assert words[0] in said, f"{document}: `{command}` is not in `mosaic --help`"
        return
    code, said = await stack.fleet.mosaic(*words)
    assert code == 0, f"{document}: `{command}` ended with {code}: {said}"


@pytest.mark.parametrize(("document", "words"), chat_words())
async def test_a_chat_command_of_the_documents_is_one(document: str, words: str) -> None:
    looked = find(shlex.split(words))
    assert isinstance(looked, Found | Overview), f"{document}: `!{words}` is no command"
    if isinstance(looked, Found):
        try:
            parse(looked.command, looked.rest)
        except HelpWanted:
            return


async def test_the_example_configuration_is_accepted(stack: Stack, tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, said = await stack.fleet.mosaic("--mosaic-home", str(home), "init", "--local-only")
    assert code == 0, said
    (home / "bot" / "config.yaml").write_bytes((ROOT / "config.example.yaml").read_bytes())
    (home / "bot" / "matrix.password").write_text("secret-9977\n")
    code, said = await stack.fleet.mosaic("--mosaic-home", str(home), "config", "check")
    assert "secret-9977" not in said
    assert code == 0, said
