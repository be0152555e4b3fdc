"""Long words of an agent: nothing is lost in cutting."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bot.long_text import PART, parts_of, split


@given(st.text(alphabet=st.sampled_from("ab \n"), max_size=400), st.integers(min_value=8, max_value=60))
def test_pieces_are_short_and_hold_every_letter(body: str, limit: int) -> None:
    pieces = split(body, limit)
    assert all(len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(body.split())


def test_short_words_stay_one_part(tmp_path: Path) -> None:
    assert [p.text for p in parts_of("hello", tmp_path, "k")] == ["hello"]
    assert not list(tmp_path.iterdir())


def test_very_long_words_go_whole_as_a_file(tmp_path: Path) -> None:
    body = "word " * PART
    first, second = parts_of(body, tmp_path, "env:1")
    assert len(first.text) < PART + 100
    assert second.file is not None
    assert second.file.path.read_text() == body
