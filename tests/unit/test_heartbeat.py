"""The reader of heartbeat files: health by age, and never an exception."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.home import Home
from fleet.model import Health, Heartbeat
from fleet.observe.heartbeat import aged, own_interval_s, parse, scan

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def beat(age_s: float, extra: str = "status=ok\ninterval=15\n") -> bytes:
    ts = (NOW - timedelta(seconds=age_s)).isoformat().replace("+00:00", "Z")
    return f"ts={ts}\npid=4242\n{extra}".encode()


@pytest.mark.parametrize(
    ("age_s", "health"),
    [(0, Health.HEALTHY), (45, Health.HEALTHY), (45.5, Health.STALE), (9999, Health.STALE)],
)
def test_health_is_three_intervals(age_s: float, health: Health) -> None:
    read = parse(beat(age_s), NOW)
    assert (read.health, read.pid, read.status) == (health, 4242, "ok")
    assert read.age_s == pytest.approx(age_s)


def test_the_file_s_interval_wins_over_ours_and_nonsense_falls_back() -> None:
    assert parse(beat(20, "status=ok\ninterval=5\n"), NOW).health is Health.STALE
    assert parse(beat(20, "status=ok\n"), NOW, default_interval_s=5).health is Health.STALE
    for nonsense in ("0", "-3", "x", "inf", "nan", "1e12", ""):
        assert parse(beat(44, f"status=ok\ninterval={nonsense}\n"), NOW).health is Health.HEALTHY
        assert parse(beat(46, f"status=ok\ninterval={nonsense}\n"), NOW).health is Health.STALE


def test_an_old_file_without_interval_and_the_optional_keys_read() -> None:
    extra = "status=busy\nmodel=opus\ntask=T-1\ntask_since=2026-11-24T11:00:00Z\nlater=unknown key"
    read = parse(beat(1, extra), NOW)
    assert (read.status, read.model, read.task, read.interval_s) == ("busy", "opus", "T-1", None)
    assert read.task_since == NOW - timedelta(hours=1)


def test_a_time_in_the_future_is_now() -> None:
    assert parse(beat(-500), NOW).age_s == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\x00\x01",
        b"\xff\xfe",
        b"ts=\n",
        b"ts=yesterday\nstatus=ok\n",
        b"status=ok\n",
        b"ts" * 5000,
    ]
    + [beat(1)[:cut] for cut in range(0, len(beat(1)) - 15, 3)],
)
def test_what_is_half_a_heartbeat_is_unknown(data: bytes) -> None:
    assert parse(data, NOW) == Heartbeat()


def test_a_cut_interval_is_not_believed() -> None:
    whole = beat(20, "status=ok\ninterval=15\n")
    assert parse(whole[:-2], NOW).health is Health.HEALTHY  # `interval=1` would call it stale


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    assert parse(data, NOW).health in Health
    assert parse(beat(1)[:-1] + data, NOW).health in Health


def test_a_kept_heartbeat_ages() -> None:
    read = parse(beat(10), NOW)
    later = aged(read, NOW + timedelta(seconds=60))
    assert (later.health, later.age_s) == (Health.STALE, 70)
    assert aged(Heartbeat(), NOW) == Heartbeat()


@pytest.mark.parametrize(("text", "meant"), [("5", 5), ("0", 15), ("x", 15), ("-1", 15), (None, 15)])
def test_our_own_interval(text: str | None, meant: float) -> None:
    assert own_interval_s({} if text is None else {"MOSAIC_HEARTBEAT_INTERVAL": text}) == meant


def test_the_run_folder_is_scanned_whatever_lies_there(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert scan(home, NOW) == {}
    home.run.mkdir(parents=True)
    (home.run / "a.hb").write_bytes(beat(1))
    (home.run / ".a.hb.123").write_bytes(beat(1))
    (home.run / "b.hb").mkdir()
    (home.run / "c.hb").symlink_to("/nowhere")
    (home.run / "a.hb.lock").touch()
    found = scan(home, NOW)
    assert set(found) == {"a", "b", "c"}
    assert found["a"].health is Health.HEALTHY
    assert found["b"].health is found["c"].health is Health.UNKNOWN
