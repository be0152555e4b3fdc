"""Every declaration is whole: its handler exists, its examples parse, its help is short."""

from __future__ import annotations

import inspect
import shlex

import pytest

from bot.commands.catalog import CATALOG, GROUPS
from bot.commands.context import Caller
from bot.commands.find import Found, Overview, Unknown, find
from bot.commands.help import about, help_for, of, overview
from bot.commands.registry import (
    Command,
    Effect,
    HelpWanted,
    Kind,
    UsageError,
    load_handler,
    load_named,
    parse,
    usage,
)
from bot.document import Document
from bot.render.plain import document_lines
from bot.roles import Role

ADMIN = Caller("matrix", "@root:x", Role.ADMIN)
by_name = pytest.mark.parametrize("command", CATALOG, ids=lambda c: c.name)


def command(*path: str) -> Command:
    return next(c for c in CATALOG if c.path == path)


def lines(document: Document) -> list[str]:
    return document_lines(document, narrow=True)


def test_paths_are_unique_and_grouped() -> None:
    paths = [path for c in CATALOG for path in (c.path, *c.aliases)]
    assert len(paths) == len(set(paths))
    assert {c.path[0] for c in CATALOG if len(c.path) == 2} == set(GROUPS)


@by_name
def test_a_declaration_is_whole(command: Command) -> None:
    assert command.summary
    assert not command.summary.endswith(".")
    assert command.examples
    if command.path[0] not in {"yes", "no"}:
        assert inspect.iscoroutinefunction(load_handler(command))
    if command.effect is Effect.DANGEROUS:
        assert command.plan is not None
    if command.plan is not None:
        assert inspect.iscoroutinefunction(load_named(command.plan))
    if command.effect is not Effect.READ and command.path[0] not in {"yes", "no"}:
        assert command.role >= Role.OPERATOR


@by_name
def test_its_examples_parse(command: Command) -> None:
    for example in command.examples:
        looked = find(shlex.split(example))
        assert isinstance(looked, Found)
        assert looked.command is command
        parse(command, looked.rest)


@by_name
def test_its_help_is_short_and_says_the_usage(command: Command) -> None:
    shown = lines(about(command, "!"))
    assert len(shown) <= 15
    assert shown[0] == f"!{usage(command)}"
    with pytest.raises(HelpWanted):
        parse(command, ["-h"])


@by_name
def test_without_arguments_the_short_way_and_click_agree(command: Command) -> None:
    optional = [p for p in command.params if not p.required]
    if len(optional) == len(command.params):
        plain = parse(command, [])
        clicked = parse(command, ["--json=compat"])
        assert plain | {"json": "compat"} == clicked


def test_required_arguments_are_asked_for() -> None:
    with pytest.raises(UsageError, match="missing name") as caught:
        parse(command("fleet", "explain"), [])
    assert caught.value.usage == "fleet explain <name>"


def test_options_stand_anywhere_and_text_behind_a_double_dash() -> None:
    send = command("agent", "send")
    args = parse(send, ["coder0", "--class", "human", "run", "it", "--verify"])
    assert (args["name"], args["text"], args["class"], args["verify"]) == ("coder0", "run it", "human", True)
    assert parse(send, ["coder0", "--", "--verify", "x"])["text"] == "--verify x"
    assert parse(command("fleet", "explain"), ["--json", "coder0"]) == {"name": "coder0", "json": "full"}


@pytest.mark.parametrize(
    "words",
    [
        ["fleet", "ps", "--nope"],
        ["fleet", "ps", "--readiness", "sleepy"],
        ["agent", "tail", "a", "-n", "many"],
    ],
)
def test_wrong_words_are_usage_errors(words: list[str]) -> None:
    looked = find(words)
    assert isinstance(looked, Found)
    with pytest.raises(UsageError) as caught:
        parse(looked.command, looked.rest)
    assert "\n" not in str(caught.value)


def test_finding() -> None:
    assert find([]) == Overview()
    assert find(["fleet"]) == find(["fleet", "-h"]) == Overview("fleet")
    assert find(["FLEET", "PS"]) == Found(command("fleet", "ps"), ())
    assert find(["ps", "--wide"]) == Found(command("fleet", "ps"), ("--wide",))
    assert find(["agent", "comms-block", "x"]) == Found(command("fleet", "comms-block"), ("x",))
    assert find(["agent", "--list"]) == Found(command("agent", "list"), ())
    assert find(["fleet", "statsu"]) == Unknown("statsu", "status", "fleet")
    assert find(["flet", "ps"]) == Unknown("flet", "fleet", None)
    assert find(["qqqqqqq"]) == Unknown("qqqqqqq", None, None)
    assert find(["yes", "abcde"]) == Found(command("yes"), ("abcde",))


def test_help_is_short_and_only_mine() -> None:
    everything = "\n".join(lines(overview(ADMIN, "!")))
    assert len(lines(overview(ADMIN, "!"))) <= 15
    assert "stop" in everything
    viewer = Caller("matrix", "@vera:x", Role.VIEWER)
    mine = overview(viewer, "!")
    assert isinstance(mine.data, dict)
    assert "stop" not in mine.data["groups"]["fleet"].split()
    assert "audit" not in mine.data["groups"]
    assert "agent broadcast" not in "\n".join(lines(of("agent", viewer, "!")))


def test_an_unknown_word_gets_one_hint() -> None:
    document = help_for(["fleet", "statsu"], ADMIN, "!")
    assert lines(document) == ["Unknown `statsu`. Did you mean `fleet status`? `!help fleet`"]
    assert document.exit_code == 3


def test_agent_arguments_are_marked_for_completion() -> None:
    assert all(
        p.kind is Kind.AGENT
        for c in CATALOG
        for p in c.params
        if p.name == "name" and c.path[0] in {"fleet", "agent"}
    )
