"""What a document becomes: escaped HTML and the same in plain words, narrow for phones, whole as a file."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.ps_view import counts_of, footer_of, hb_cell, idle_cell, narrow_lines, table_of
from bot.commands.redact import HIDDEN, shown
from bot.document import (
    Block,
    Bullets,
    Code,
    Column,
    Document,
    Footer,
    Heading,
    Pairs,
    Picture,
    Table,
    Text,
    Tone,
)
from bot.render.cells import clip, pad, width
from bot.render.matrix import render
from bot.render.terminal import show
from bot.render.wire import WireError, decode_document, encode_document
from fleet.model import AgentRow, Health, Heartbeat, HostRow, Readiness, Snapshot

NOW = datetime(2026, 3, 1, 14, 2, 11, tzinfo=UTC)
ROW = AgentRow(
    name="coder0",
    host="here",
    tenant_id="ana",
    socket="s",
    managed=True,
    readiness=Readiness.WORKING,
    runtime="stub",
    heartbeat=Heartbeat(age_s=2.5, health=Health.HEALTHY),
    idle_s=3.7,
)
WHOLE = Document(
    (
        Heading("H"),
        Text("a `b` <i>", Tone.WARN),
        Bullets(("one", "two & three")),
        Pairs((("key", "value"),)),
        Code("x < y", "python"),
        Table((Column("a", "A", right=True),), (("1",),), ("1",)),
        Picture(Path("/p.png"), "a picture"),
        Footer("14:02:11"),
    ),
    data={"n": None},
    ok=False,
    exit_code=8,
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_wire_gives_back_the_same_document() -> None:
    assert decode_document(encode_document(WHOLE)) == WHOLE


@pytest.mark.parametrize(
    "wire", [{}, {"blocks": [{"type": "film"}]}, {"blocks": [{"type": "text"}]}, {"blocks": 3}]
)
def test_the_wire_refuses_what_is_no_document(wire: dict[str, object]) -> None:
    with pytest.raises(WireError):
        decode_document(wire)


def test_matrix_shows_text_picture_and_is_silent() -> None:
    text, picture = render(WHOLE)
    assert text.html is not None
    assert "<i>" not in text.html
    assert "&lt;i&gt;" in text.html
    assert "<code>b</code>" in text.html
    assert text.silent
    assert text.ping == ()
    assert picture.file is not None
    assert (picture.file.path, picture.file.alt, picture.text) == (Path("/p.png"), "a picture", "a picture")


@given(st.text(max_size=120), st.text(max_size=120))
def test_nothing_in_a_document_becomes_markup(one: str, two: str) -> None:
    document = Document((Text(one), Bullets((two,)), Code(one), Pairs(((two, one),)), Footer(two)))
    (content, *_) = render(document)
    seen = Tags()
    seen.feed(content.html or "")
    assert seen.tags <= {"p", "em", "ul", "li", "pre", "code", "br", "strong"}


def test_the_plain_body_says_what_the_html_says() -> None:
    document = Document((Heading("H"), Text("a b"), Bullets(("one",)), Code("x < y"), Footer("f")))
    (content,) = render(document)
    seen = Tags()
    seen.feed(content.html or "")
    bare = re.sub(r"[\s•]", "", content.text)
    assert re.sub(r"\s", "", seen.words) == bare


def test_long_output_is_a_head_and_a_file(tmp_path: Path) -> None:
    whole = "\n".join(f"line {n}" for n in range(300))

    def save(text: str) -> Path:
        path = tmp_path / "kept"
        path.write_text(text)
        return path

    document = Document((Code(whole), Footer("foot")))
    head, file = render(document, save)
    assert head.text.splitlines() == [*(f"line {n}" for n in range(8)), "… 292 more", "foot"]
    assert file.file is not None
    assert whole in file.file.path.read_text()
    (alone,) = render(document)
    assert "… 292 more" in alone.text


def test_short_output_stays_whole() -> None:
    (content,) = render(Document((Code("\n".join("ab" for _ in range(12))),)))
    assert "…" not in content.text


def test_one_giant_line_is_cut() -> None:
    (content,) = render(Document((Text("x" * 100_000),)))
    assert len(content.text) < 2000


def test_a_fleet_of_thirty_is_shown_whole() -> None:
    rows = [replace(ROW, name=f"coder{n}") for n in range(30)]
    (content,) = render(Document((table_of(rows, wide=False),)))
    assert len(content.text.splitlines()) == 30


def test_terminal_without_a_tty_is_plain_columns() -> None:
    out = io.StringIO()
    show(Document((table_of([ROW], wide=False), Footer("f"))), out, {})
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["NAME", "ALIAS", "RUNTIME", "HB", "IDLE", "MODEL", "TASK", "FLAGS"]
    assert lines[1].split() == ["coder0", "-", "stub", "3s/working", "3s", "-", "-", "-"]
    assert "\x1b" not in out.getvalue()


# --- fleet ps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readiness", list(Readiness))
def test_a_phone_line_fits_and_has_a_letter(readiness: Readiness) -> None:
    row = replace(ROW, name="a-very-long-agent-name-0", readiness=readiness, task="write " * 20)
    lines = narrow_lines(row)
    assert all(width(line) <= 32 for line in lines), lines
    assert lines[0][1] in "NFWIU"


def test_needs_you_comes_first_then_failed_working_idle() -> None:
    rows = [
        replace(ROW, name=str(readiness), readiness=readiness)
        for readiness in (
            Readiness.AVAILABLE,
            Readiness.WORKING,
            Readiness.UNKNOWN,
            Readiness.DEAD,
            Readiness.STUCK,
        )
    ]
    foreign = replace(ROW, name="other", managed=False, readiness=Readiness.UNKNOWN)
    blocked = replace(ROW, name="asks", flags=("BLOCKED",), blocked_reason="permission")
    order = [row[0] for row in table_of([foreign, *rows, blocked], wide=False).rows]
    assert order == ["stuck", "asks", "dead", "unknown", "working", "available", "other"]


def test_a_reason_stands_under_its_agent() -> None:
    row = replace(ROW, readiness=Readiness.STUCK, flags=("BLOCKED",), blocked_reason="permission: rm -rf b")
    assert narrow_lines(row)[1] == "   permission: rm -rf b"
    assert table_of([row], wide=False).rows[0][-1] == "BLOCKED(permission: rm -rf b)"


@pytest.mark.parametrize(("age", "cell"), [(0.4, "0s/working"), (0.5, "1s/working"), (2.5, "3s/working")])
def test_heartbeat_cells_round_half_up(age: float, cell: str) -> None:
    assert hb_cell(replace(ROW, heartbeat=Heartbeat(age_s=age, health=Health.HEALTHY))) == cell


@pytest.mark.parametrize("readiness", [Readiness.DEAD, Readiness.UNKNOWN])
def test_no_heartbeat_is_unknown_whatever_else_is_known(readiness: Readiness) -> None:
    assert hb_cell(replace(ROW, heartbeat=Heartbeat(), readiness=readiness)) == "unknown"


def test_unknown_is_never_a_zero() -> None:
    row = replace(ROW, heartbeat=Heartbeat(), idle_s=None, readiness=Readiness.UNKNOWN)
    assert hb_cell(row) == "unknown"
    assert idle_cell(row) == "-"
    assert narrow_lines(row)[0].endswith(" -")


def test_the_footer_says_time_count_pause_and_who_is_away() -> None:
    snapshot = Snapshot(
        NOW, (HostRow("here", True, 40), HostRow("far", False, None)), (ROW,), paused="freeze"
    )
    said = footer_of(snapshot, 9, UTC)
    assert said == "14:02:11 · 9 agents · PAUSED: freeze · read 40s ago · no answer from far"
    assert footer_of(Snapshot(NOW, (), ()), 1, UTC) == "14:02:11 · 1 agent"


def test_counts_leave_foreign_sessions_out() -> None:
    rows = [ROW, replace(ROW, readiness=Readiness.STUCK), replace(ROW, managed=False)]
    assert counts_of(rows) == "1 needs you · 1 working"


# --- cells and screens -------------------------------------------------------------------------------------


@given(st.text(max_size=60), st.integers(1, 40))
def test_clipping_keeps_the_width(text: str, columns: int) -> None:
    assert width(clip(text, columns)) <= columns
    assert width(pad(text, columns)) == columns


def test_screens_lose_secrets_and_control_sequences() -> None:
    screen = (
        "\x1b[31mred\x1b[0m\x07 API_KEY=abc123 sk-abcdefghijklmnopqrstuv https://u:pw@h/ password: 'a b' ok"
    )
    said = shown(screen)
    assert "\x1b" not in said
    for secret in ("abc123", "sk-abcdef", "pw@", "a b"):
        assert secret not in said
    assert said.startswith("red")
    assert said.endswith("ok")
    assert said.count(HIDDEN) == 4


def test_ordinary_text_is_left_alone() -> None:
    text = "12 tests passed; see src/tokens.py and https://example.org/a:b"
    assert shown(text) == text


def test_blocks_of_every_kind_are_shown_in_a_terminal() -> None:
    out = io.StringIO()
    show(WHOLE, out, {})
    blocks: tuple[Block, ...] = WHOLE.blocks
    assert len(out.getvalue().splitlines()) == len(blocks) + 2  # a table has its head, bullets are two
