"""The readiness report: what it says first, how long it is, and its picture."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from bot.document import Bullets, Document, Footer, Picture, Text
from bot.render.charts import LOOKS, shortened
from bot.reports import readiness
from bot.reports.picture import PictureError, draw
from fleet.model import AgentRow, HostRow, Readiness, Snapshot

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def row(name: str, state: Readiness, **more: object) -> AgentRow:
    made = AgentRow(name=name, host="h", tenant_id="t", socket="s", managed=True, readiness=state)
    return replace(made, **more)  # type: ignore[arg-type]


def snap(*rows: AgentRow, at: datetime = NOW) -> Snapshot:
    return Snapshot(at, (HostRow("h", True, 0.0),), rows)


def lines(document: Document) -> list[str]:
    found: list[str] = []
    for block in document.blocks:
        match block:
            case Text(text) | Footer(text):
                found += text.splitlines()
            case Bullets(items):
                found += items
            case Picture():
                found.append("(picture)")
    return found


def report(
    snapshot: Snapshot, last: readiness.Facts | None = None, picture: Picture | None = None
) -> list[str]:
    return lines(readiness.document(snapshot, last, local=snapshot.ts, picture=picture))


def test_the_verdict_comes_first_and_the_blocked_one_next() -> None:
    said = report(
        snap(
            row("coder0", Readiness.AVAILABLE),
            row("coder1", Readiness.DEAD),
            row("reviewer0", Readiness.WORKING, flags=("BLOCKED",), blocked_reason="may I push?"),
        )
    )
    assert said[0] == "1 of 3 needs a person, 1 of 3 failed. Others: 1 available."
    assert said[1] == "reviewer0 waits for a person: may I push?"
    assert said[2] == "coder1 is dead"


def test_a_quiet_fleet_is_one_line_and_says_since_when() -> None:
    fleet = snap(row("coder0", Readiness.WORKING), row("coder1", Readiness.AVAILABLE))
    last = readiness.facts_of(replace(fleet, ts=NOW - timedelta(hours=1)))
    said = report(fleet, last)
    assert said[0] == "No change since 08:00:00: 2 agents, 0 need a person."
    assert len(said) == 1


def test_changes_since_the_last_one_are_named() -> None:
    before = readiness.facts_of(snap(row("a", Readiness.WORKING), row("gone", Readiness.WORKING)))
    said = report(snap(row("a", Readiness.STUCK), row("new", Readiness.AVAILABLE)), before)
    assert "Since 09:00:00: a working → failed; new is new (available); gone is gone from the roster." in said


def test_unmanaged_sessions_are_not_counted() -> None:
    assert (
        "1 agent fine"
        in report(snap(row("a", Readiness.WORKING), row("x", Readiness.DEAD, managed=False)))[0]
    )


def test_unknown_is_said_and_never_counted_as_fine() -> None:
    said = report(snap(row("a", Readiness.UNKNOWN), row("b", Readiness.WORKING)))
    assert said[0].startswith("1 of 2 agents not known.")


def test_a_bad_day_of_a_large_fleet_stays_within_twelve_lines(tmp_path: Path) -> None:
    many = [row(f"agent{n}", Readiness.DEAD) for n in range(60)]
    before = readiness.facts_of(snap(*[replace(r, readiness=Readiness.WORKING) for r in many]))
    host = HostRow("far", False, None)
    snapshot = replace(snap(*many), hosts=(host,), paused="incident")
    said = report(snapshot, before, Picture(tmp_path / "x.png", "alt"))
    assert len(said) <= readiness.MAX_LINES
    assert "The fleet is paused." in said[0]
    assert "and 55 more: !fleet ps" in said
    assert "not reachable: far" in said


def test_facts_survive_being_kept() -> None:
    facts = readiness.facts_of(snap(row("a", Readiness.WORKING)))
    assert readiness.Facts.read(orjson.loads(orjson.dumps(facts.record()))) == facts
    with pytest.raises(ValueError, match="group"):
        readiness.Facts.read({"ts": NOW.isoformat(), "groups": {"a": "happy"}})


def test_every_group_has_a_look_of_its_own_in_more_than_colour() -> None:
    assert set(LOOKS) == {key for key, _ in readiness.GROUPS}
    assert len({(look.marker, look.hatch) for look in LOOKS.values()}) == len(LOOKS)


def test_long_lists_of_names_say_how_many_are_left_out() -> None:
    assert shortened([f"worker{n}" for n in range(30)]).endswith("and 24 more")
    assert shortened(["a", "b"]) == "a, b"


async def test_the_picture_is_an_opaque_png_of_the_right_size(tmp_path: Path) -> None:
    snapshot = snap(row("coder$0", Readiness.WORKING), row("b", Readiness.DEAD))
    facts = readiness.facts_of(snapshot)
    path = await draw(readiness.chart(facts, NOW), tmp_path / "r.png", tmp_path / "cache")
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1200, 675)
    assert len(data) <= 200_000
    from matplotlib.image import imread

    pixels = imread(path)
    assert pixels.shape[2] == 3 or pixels[:, :, 3].min() == 1.0
    assert "coder$0" in readiness.alt_text(facts)


async def test_a_chart_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no chart that can be drawn"):
        await draw({"kind": "pie"}, tmp_path / "r.png", tmp_path / "cache")
    assert not (tmp_path / "r.png").exists()


def test_the_bot_side_does_not_load_the_drawing_library() -> None:
    code = "import sys, bot.reports.service; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
