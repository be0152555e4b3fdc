"""Turns: who asked, who is told, and that nothing is told twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleet.home import Home
from fleet.model import Envelope
from fleet.node import state_file
from fleet.node.events import Event, EventKind
from fleet.node.turns import Place, Seen, Track, apply, expire_question, tokens_in

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PLACE = Place("h", "t", "NODE1")
ONE, TWO = "abcdefghijkl.7", "mnopqrstuvwx.8"


class Agent:
    """A track that events are played into."""

    def __init__(self) -> None:
        self.track = Track()
        self.told: list[Envelope] = []
        self.now = NOW

    def play(self, kind: str, tokens: tuple[str, ...] = (), **more: Any) -> bool:
        self.now += timedelta(seconds=1)
        fields: dict[str, Any] = {"session_id": "s", "pid": 9, "ts": self.now} | more
        event = Event("coder0", EventKind(kind), **fields)
        applied = apply(self.track, event, PLACE, self.now, Seen(tokens=tokens, screen="screen"))
        self.track = applied.track
        self.told += applied.envelopes
        return applied.news

    @property
    def ends(self) -> list[tuple[Any, ...]]:
        return [(e.data["tokens"], e.data["reason"]) for e in self.told if e.kind == "turn-ended"]


def test_several_messages_in_one_turn_all_get_its_end() -> None:
    agent = Agent()
    agent.play("prompt_accepted", (ONE,), turn_id="1")
    agent.play("prompt_accepted", (TWO,), turn_id="1")
    assert agent.track.status == "busy"
    agent.play("turn_ended", turn_id="1", last_message="done")
    assert agent.ends == [([ONE, TWO], "end")]
    assert agent.told[0].data["last_message"] == "done"
    assert (agent.track.status, agent.track.turn_open, agent.track.tokens) == ("idle", False, ())


def test_a_doubled_or_late_report_tells_nothing() -> None:
    agent = Agent()
    agent.play("prompt_accepted", (ONE,), turn_id="1")
    agent.play("turn_ended", turn_id="1")
    assert not agent.play("turn_ended", turn_id="1")
    assert not agent.play("prompt_accepted", (ONE,), turn_id="1")
    assert agent.track.status == "idle"
    assert len(agent.ends) == 1


def test_the_same_end_has_the_same_id_whoever_tells_it() -> None:
    ids = []
    for _ in range(2):
        agent = Agent()
        agent.play("prompt_accepted", (ONE,), turn_id="1")
        agent.play("turn_ended", turn_id="1")
        ids.append(agent.told[0].id)
    assert ids[0] == ids[1]


def test_programs_without_turn_ids() -> None:
    agent = Agent()
    for token in (ONE, TWO):
        agent.play("prompt_accepted", (token,))
        agent.play("turn_ended")
    agent.play("turn_ended")
    assert agent.ends == [([ONE], "end"), ([TWO], "end")]


def test_a_new_session_or_process_closes_the_turn() -> None:
    for change, reason in (({"session_id": "s2"}, "cleared"), ({"pid": 10}, "crash")):
        agent = Agent()
        agent.play("prompt_accepted", (ONE,), turn_id="1")
        agent.play("session_started", **change)
        assert agent.ends == [([ONE], reason)]
        assert agent.track.status == "idle"


def test_the_same_session_told_again_closes_nothing() -> None:
    agent = Agent()
    agent.play("prompt_accepted", (ONE,), turn_id="1")
    assert not agent.play("session_started")
    assert agent.track.turn_open


def test_the_end_of_the_pane_closes_turn_and_question() -> None:
    agent = Agent()
    agent.play("prompt_accepted", (ONE,), turn_id="1")
    agent.play("blocked", question="q", reason="may I")
    agent.play("session_ended", source="pane", reason="gone")
    assert [e.kind for e in agent.told] == ["block", "unblock", "turn-ended"]
    assert agent.ends == [([ONE], "crash")]
    assert agent.track.status == "ended"
    assert not agent.play("session_ended")


def test_clear_does_not_end_the_program() -> None:
    agent = Agent()
    agent.play("session_started")
    agent.play("session_ended", reason="cleared")
    assert agent.track.status == "idle"


def test_a_question_is_told_once_and_closed_once() -> None:
    agent = Agent()
    agent.play("prompt_accepted", turn_id="1")
    agent.play("blocked", question="q", reason="may I", options=("allow", "deny"))
    assert not agent.play("blocked", question="q", reason="may I")
    assert agent.track.status == "blocked"
    assert not agent.play("unblocked", question="other")
    agent.play("unblocked", question="q")
    assert not agent.play("unblocked", question="q")
    assert [e.kind for e in agent.told] == ["block", "unblock"]
    assert agent.told[0].data["options"] == ["allow", "deny"]
    assert agent.told[0].data["node_start"] == "NODE1"
    assert agent.track.status == "busy"


def test_a_question_of_an_earlier_node_run_expires() -> None:
    agent = Agent()
    agent.play("blocked", question="q")
    applied = expire_question(agent.track, "coder0", replace(PLACE, node_start="NODE2"), NOW)
    assert applied.envelopes[0].data["reason"] == "expired, not run"
    assert applied.envelopes[0].data["node_start"] == "NODE1"
    assert applied.track.state is not None
    assert applied.track.state.question is None


def test_tasks_are_taken_over_and_cleared_within_a_turn() -> None:
    agent = Agent()
    agent.play("prompt_accepted", turn_id="1", task="T-1")
    assert agent.track.state is not None
    assert (agent.track.state.task, agent.track.state.task_since) == ("T-1", agent.now)
    agent.play("idle", turn_id="1", task="")
    assert (agent.track.state.task, agent.track.status, agent.track.idle_since) == (None, "busy", None)
    agent.play("idle")
    assert agent.track.idle_since == agent.now


def test_tokens_are_read_from_preambles_only() -> None:
    prompt = (
        f"[matrix:@ana:hs/{ONE} -> h:coder0 class=human] hi\n\n"
        f"[local:bob/{TWO}\n  -> h:coder0 class=human] there {ONE}"
    )
    assert tokens_in(prompt) == (ONE, TWO)
    assert tokens_in(f"[h:a/{ONE} -> h:b] x {TWO}") == ()


def test_the_state_file_brings_the_turn_over_a_restart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    agent = Agent()
    agent.play("prompt_accepted", (ONE,), turn_id="1", model="m")
    state_file.save(home, "coder0", agent.track)
    assert state_file.load(home, "coder0") == agent.track
    home.state("coder0").write_text("{")
    assert state_file.load(home, "coder0") == Track()
