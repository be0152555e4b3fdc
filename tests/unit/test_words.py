"""What phones and people type becomes the words of a command, or a line that says why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.words import WordsError, is_command, split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("!fleet ps", ["fleet", "ps"]),
        ("  !fleet ps  ", ["fleet", "ps"]),
        ("@fleet fleet ps", ["fleet", "ps"]),
        ("@Fleet: status", ["status"]),
        ("FLEET: ping", ["ping"]),
        ("fleet, ping", ["ping"]),
        ("!fleet pause “release freeze”", ["fleet", "pause", "release freeze"]),
        ("!fleet pause ‘release freeze’", ["fleet", "pause", "release freeze"]),
        ("!fleet ps —class code", ["fleet", "ps", "--class", "code"]),
        ("!agent tail coder0 –n 80", ["agent", "tail", "coder0", "-n", "80"]),
        ("!fleet\u00a0ps", ["fleet", "ps"]),
        ("\ufeff!fleet\u202fps\u200b", ["fleet", "ps"]),
        (
            "!agent send coder0 don’t stop, it's fine",
            ["agent", "send", "coder0", "don't", "stop,", "it's", "fine"],
        ),
        ("!agent send coder0 a — b", ["agent", "send", "coder0", "a", "—", "b"]),
        ("!agent send coder0 -- --class x", ["agent", "send", "coder0", "--", "--class", "x"]),
        ("!agent send coder0 $(reboot) `id` ;ls", ["agent", "send", "coder0", "$(reboot)", "`id`", ";ls"]),
        ("> !fleet stop\n!fleet ps", ["fleet", "ps"]),
        ("```\n!fleet stop\n```\n!fleet ps", ["fleet", "ps"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert is_command(text)
    assert split(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "! hello",
        "!!!",
        "!",
        "!1",
        "the fleet: is it well?",
        "fleetwood mac",
        "@fleetwood hi",
        "> !fleet stop",
        "```\n!fleet stop\n```",
        "look: `!fleet ps`",
        "hello\n!fleet stop",
        "",
    ],
)
def test_not_a_command(text: str) -> None:
    assert not is_command(text)


def test_only_one_line_is_taken() -> None:
    with pytest.raises(WordsError, match=r"One line, please\."):
        split("!fleet ps\nand more")


def test_an_open_quote_is_said() -> None:
    with pytest.raises(WordsError, match="quote"):
        split('!fleet pause "release')


def test_another_prefix() -> None:
    assert is_command("mf.fleet ps", "mf.")
    assert not is_command("!fleet ps", "mf.")
    assert split("mf.fleet ps", "mf.") == ["fleet", "ps"]


@given(st.text(max_size=300))
def test_any_text_gives_words_or_a_line(text: str) -> None:
    said = "!x " + text
    try:
        words = split(said)
    except WordsError:
        words = []  # said in one line: several lines, or an open quote
    assert all(isinstance(word, str) for word in words)
    assert not words or words[0].startswith("x")
