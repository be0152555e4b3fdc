from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.messages.sanitize import clean, neutralise

CASES = {
    "a\x1b[31mred\x1b[0m b": "ared b",
    "x\x1b]0;title\x07y": "xy",
    "x\x1b]0;title\x1b\\y": "xy",
    "x\x1bPq#1\x1b\\y": "xy",
    "in\x1b[201~out": "inout",
    "\x9b31mz": "z",
    "un \x1b]0;tail": "un 0;tail",
    "\x1b": "",
    "l\r\nm\rn": "l\nm\nn",
    "tab\tstays": "tab\tstays",
    "z\x01\x7f\x85q": "zq",
    "\u202eabc\u2066": "\\u202eabc\\u2066",
    "flag\U000e0067": "flag\\U000e0067",
    "größe 日本語 👩‍💻 & \\ $(x)": "größe 日本語 👩‍💻 & \\ $(x)",
}
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f\ud800-\udfff]"
)


@pytest.mark.parametrize(("given_text", "wanted"), CASES.items())
def test_known_tricks(given_text: str, wanted: str) -> None:
    assert clean(given_text) == wanted


@given(st.text())
def test_nothing_harmful_is_left_and_twice_is_once(text: str) -> None:
    assert not _HARMFUL.search(clean(text))
    assert clean(clean(text)) == clean(text)


@given(st.text(alphabet="\x1b\x9b\x9d[]0;P\\m~\x07a", max_size=60))
def test_broken_sequences(text: str) -> None:
    assert not _HARMFUL.search(clean(text))


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=("Cc",))))
def test_harmless_text_is_untouched(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "runtime", "wanted"),
    [
        ("/clear", "claude", " /clear"),
        ("!ls", "codex", " !ls"),
        ("!ls", "pi", "Text: !ls"),
        (" !ls", "pi", "Text:  !ls"),
        ("/clear", "stub", " /clear"),
        ("!ls", "stub", "!ls"),
        ("#x", "something-else", " #x"),
        ("[a -> b] /clear", "claude", "[a -> b] /clear"),
        ("", "claude", ""),
    ],
)
def test_first_characters(text: str, runtime: str, wanted: str) -> None:
    assert neutralise(text, runtime) == wanted
