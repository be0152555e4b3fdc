"""The readiness rules in their order, their boundaries, and that nothing makes them raise."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model import AgentState, Health, Heartbeat, Readiness
from fleet.observe.readiness import Signals, classify, idle_threshold_s

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEAT = Heartbeat(ts=NOW, pid=1, status="ok", interval_s=15, age_s=1, health=Health.HEALTHY)
GOOD = Signals(pane_alive=True, heartbeat=BEAT, idle_s=10, node_alive=True)


def state(status: str, **more: Any) -> AgentState:
    return AgentState(status=status, ts=NOW, evidence="turn_ended", node_start="n", **more)


def word(signals: Signals, threshold_s: float = 300) -> Readiness:
    return classify(signals, threshold_s).readiness


def test_the_order_of_the_rules() -> None:
    blocked = state("blocked", blocked_reason="permission")
    everything = replace(GOOD, state=blocked, state_age_s=1, idle_s=9999, task_age_s=9999)
    stale = replace(everything, heartbeat=replace(BEAT, health=Health.STALE))
    unknown = replace(everything, heartbeat=Heartbeat())
    assert word(replace(unknown, pane_alive=False)) is Readiness.DEAD
    assert word(unknown) is Readiness.UNKNOWN
    assert word(stale) is Readiness.STALE
    assert word(everything) is Readiness.STUCK
    assert classify(everything).blocked_reason == "permission"
    assert word(replace(everything, state=state("busy"))) is Readiness.WORKING
    assert word(replace(everything, state=None)) is Readiness.STUCK  # the task in flight


def test_a_failed_read_of_the_pane_is_not_death() -> None:
    assert word(replace(GOOD, pane_alive=None)) is Readiness.UNKNOWN


@pytest.mark.parametrize(
    ("idle_s", "meant"),
    [
        (None, Readiness.WORKING),
        (math.nan, Readiness.WORKING),
        (math.inf, Readiness.WORKING),
        (0, Readiness.WORKING),
        (299, Readiness.WORKING),
        (300, Readiness.AVAILABLE),
        (100_000, Readiness.AVAILABLE),
    ],
)
def test_idleness_alone_makes_available_and_never_stuck(idle_s: float | None, meant: Readiness) -> None:
    assert word(replace(GOOD, idle_s=idle_s)) is meant


def test_busy_stays_working_whatever_the_idle_time() -> None:
    assert word(replace(GOOD, heartbeat=replace(BEAT, status="busy"), idle_s=2000)) is Readiness.WORKING
    assert word(replace(GOOD, state=state("busy"), idle_s=2000)) is Readiness.WORKING


def test_the_program_s_report_wins_over_the_heartbeat_s_copy() -> None:
    late = replace(
        GOOD, heartbeat=replace(BEAT, status="busy"), state=state("idle"), state_age_s=1, idle_s=400
    )
    assert word(late) is Readiness.AVAILABLE


@pytest.mark.parametrize(("task_age_s", "meant"), [(301, "stuck"), (300, "available"), (None, "available")])
def test_a_task_makes_stuck_only_once_it_is_older_than_the_threshold(
    task_age_s: float | None, meant: str
) -> None:
    assert word(replace(GOOD, idle_s=500, task_age_s=task_age_s)) == meant


def test_a_program_that_reports_is_unknown_until_it_did_and_when_no_node_lives() -> None:
    reports = replace(GOOD, has_events=True, idle_s=400)
    assert word(reports) is Readiness.UNKNOWN
    known = replace(reports, state=state("idle"), state_age_s=46)
    assert word(known) is Readiness.AVAILABLE
    assert word(replace(known, node_alive=False)) is Readiness.UNKNOWN
    assert word(replace(known, node_alive=False, state_age_s=45)) is Readiness.AVAILABLE
    assert word(replace(known, node_alive=None)) is Readiness.AVAILABLE
    assert word(replace(GOOD, has_events=False, idle_s=400)) is Readiness.AVAILABLE


def test_a_blocking_screen_makes_stuck_too() -> None:
    verdict = classify(replace(GOOD, blocked_screen="login"))
    assert (verdict.readiness, verdict.blocked_reason) == (Readiness.STUCK, "login")


def test_a_busy_program_that_is_silent_for_ten_minutes_is_said_to_be() -> None:
    busy = replace(GOOD, state=state("busy"), state_age_s=5, quiet_s=599)
    assert classify(busy).silent_s is None
    verdict = classify(replace(busy, quiet_s=600))
    assert (verdict.readiness, verdict.silent_s) == (Readiness.WORKING, 600)


def test_an_ended_program_in_an_open_pane_is_not_ready_for_anything() -> None:
    assert word(replace(GOOD, state=state("ended"), idle_s=400)) is Readiness.UNKNOWN


@pytest.mark.parametrize(
    ("text", "given_s", "meant"),
    [
        ("120", None, 120),
        *((nonsense, None, 300) for nonsense in ("0", "x", "-5", "1.5", "")),
        ("120", 60.0, 60),
        ("120", math.nan, 120),
        ("120", math.inf, 120),
    ],
)
def test_the_threshold(text: str, given_s: float | None, meant: float) -> None:
    assert idle_threshold_s({"MOSAIC_HEARTBEAT_IDLE_THRESHOLD": text}, given_s) == meant


def test_the_variable_of_old_changes_nothing() -> None:
    assert idle_threshold_s({"MOSAIC_HEARTBEAT_STUCK_THRESHOLD": "5"}) == 300


GARBAGE = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=3), st.integers(), st.just(state("x"))
)


@given(st.lists(GARBAGE, min_size=11, max_size=11), GARBAGE)
def test_garbage_gives_a_word_and_no_exception(values: list[Any], threshold: Any) -> None:
    assert classify(Signals(*values), threshold).readiness in Readiness
    seen = Signals(True, BEAT, *values[2:])
    assert classify(seen, threshold).readiness in Readiness
