"""The join into rows: flags, unmanaged sessions, what a failed reading leaves, and the JSON shape."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.host.panes import LIST_FORMAT, Listing, PaneListing, idle_from, parse_panes, says_no_server
from fleet.host.procs import parse_stat
from fleet.host.systemd import Units
from fleet.model import AgentDef, AgentState, Health, Heartbeat, Pane, Readiness, Roster, Snapshot
from fleet.observe.explain import explain
from fleet.observe.json import compat_json, snapshot_json
from fleet.observe.memory import Fails, remember
from fleet.observe.rows import for_chat, join, sockets_of
from fleet.observe.sources import Seen, SocketRead, Sources

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEAT = Heartbeat(ts=NOW - timedelta(seconds=1), pid=7, status="ok", interval_s=15, model="opus")
LEAD = AgentDef(name="lead", runtime="pi", agent_class="orchestrator", alias="Mos", socket="s", tenant_id="t")
STUB = AgentDef(name="stub0", runtime="stub", socket="s", tenant_id="t")
FAR = AgentDef(name="far", runtime="pi", socket="s", host="build-2", ssh="dev@b2", tenant_id="t")
ROSTER = Roster(agents=(LEAD, STUB, FAR), tenant_id="t", socket="s")


def pane(session: str, number: int, **more: Any) -> Pane:
    shape: dict[str, Any] = {
        "dead": False,
        "in_mode": False,
        "command": "pi",
        "idle_s": 400.0,
        "idle_source": "window",
    }
    return Pane(session=session, pane_id=f"%{number}", pid=1000 + number, **(shape | more))


def sources(*panes: Pane, **more: Any) -> Sources:
    listing = PaneListing("s", Listing.OK, panes)
    given: dict[str, Any] = {
        "at": NOW,
        "sockets": {"s": SocketRead(listing, NOW)},
        "heartbeats": {"lead": BEAT, "stub0": BEAT},
        "states": {},
        "runtimes": {1001: Seen("pi", None, readable=True), 1002: Seen("stub", None, readable=True)},
        "node_alive": True,
    }
    return Sources(**(given | more))


def rows(source: Sources, roster: Roster = ROSTER, now: datetime = NOW) -> Snapshot:
    return join(roster, source, host="here", now=now, threshold_s=300)


def row(source: Sources, name: str = "lead", roster: Roster = ROSTER, now: datetime = NOW) -> Any:
    return next(r for r in rows(source, roster, now).agents if r.name == name)


def test_a_healthy_agent_has_no_flag_and_its_evidence_an_age() -> None:
    found = row(sources(pane("lead", 1)))
    assert (found.readiness, found.flags, found.runtime_seen) == (Readiness.AVAILABLE, (), "pi")
    assert (found.model, found.pane_pid, found.idle_s, found.evidence_age_s) == ("opus", 1001, 400, 0)


def test_positive_evidence_is_death_and_a_failed_reading_is_not() -> None:
    assert row(sources()).readiness is Readiness.DEAD
    assert row(sources(pane("lead", 1, dead=True))).readiness is Readiness.DEAD
    ended = {1001: Seen(None, None, readable=False, ended=True)}
    assert row(sources(pane("lead", 1), runtimes=ended)).readiness is Readiness.DEAD
    none = SocketRead(PaneListing("s", Listing.NO_SERVER), NOW)
    assert row(sources(sockets={"s": none})).readiness is Readiness.DEAD
    failed = SocketRead(PaneListing("s", Listing.FAILED, problem="timeout"), NOW, unreachable=True)
    found = row(sources(sockets={"s": failed}))
    assert (found.readiness, found.pane_alive, found.evidence_age_s) == (Readiness.UNKNOWN, None, None)
    assert found.flags == ("UNREACHABLE",)


def test_a_name_that_only_begins_alike_is_another_session() -> None:
    assert row(sources(pane("lead2", 1))).readiness is Readiness.DEAD


@pytest.mark.parametrize(
    ("seen", "drift"),
    [
        (Seen("pi", None, True), False),
        (Seen("stub", None, True), True),
        (Seen(None, "bash", True), True),
        (Seen(None, None, False), False),  # could not be read: nothing is claimed
        (Seen("launcher", None, True), False),
    ],
)
def test_drift_is_what_the_process_tree_shows(seen: Seen, drift: bool) -> None:
    found = row(sources(pane("lead", 1), runtimes={1001: seen}))
    assert ("DRIFT" in found.flags) is drift


def test_boot_enable_needs_an_active_unit_that_is_not_enabled() -> None:
    data = b'[{"unit": "mosaic-agent@lead.service", "load": "loaded", "active": "active", "sub": "exited"}]'
    for enabled, flags in (
        (frozenset[str](), ("BOOT-ENABLE",)),
        (frozenset({"mosaic-agent@lead.service"}), ()),
    ):
        units = Units.parse(data, enabled)
        found = row(sources(pane("lead", 1), units=units))
        assert (found.flags, found.systemd_active) == (flags, "active")
        assert row(sources(pane("stub0", 2), units=units), "stub0").systemd_active == "inactive"
    assert row(sources(pane("lead", 1))).systemd_active is None
    assert Units.parse(b"{", frozenset()) is None


def test_a_blocked_agent_is_stuck_and_says_why() -> None:
    state = AgentState("blocked", NOW, "blocked", "n1", blocked_reason="may it push?", task="T-1")
    found = row(sources(pane("stub0", 2), states={"stub0": state}), "stub0")
    assert (found.readiness, found.flags, found.task) == (Readiness.STUCK, ("BLOCKED",), "T-1")
    assert any("may it push?" in line for line in explain(found))


def test_a_silent_and_a_paused_agent_bear_their_flags() -> None:
    state = AgentState("busy", NOW - timedelta(seconds=700), "prompt_accepted", "n1")
    source = sources(pane("stub0", 2, idle_s=650.0), states={"stub0": state}, paused="")
    assert row(source, "stub0").flags == ("SILENT", "PAUSED")
    assert rows(source).paused == ""


def test_an_agent_of_another_host_is_unknown_and_says_why() -> None:
    found = row(sources(pane("far", 3)), "far")
    assert (found.host, found.readiness, found.pane_alive) == ("build-2", Readiness.UNKNOWN, None)
    assert "UNREACHABLE" in found.flags
    assert any("ssh" in line for line in found.evidence)
    (_, other) = rows(sources()).hosts
    assert (other.host, other.reachable) == ("build-2", None)


def test_unmanaged_sessions_are_rows_but_the_holder_and_viewers_are_not() -> None:
    source = sources(
        pane("lead", 1),
        pane("_holder", 4),
        pane("lead-watch-1", 1),
        pane("looking", 1),  # a grouped session under any name shows the same pane
        pane("mine", 5),
        runtimes={1005: Seen("codex", None, True)},
    )
    (mine,) = [r for r in rows(source).agents if not r.managed]
    assert (mine.name, mine.runtime, mine.runtime_seen, mine.flags) == (
        "mine",
        "unknown",
        "codex",
        ("UNMANAGED",),
    )
    assert mine.readiness is Readiness.UNKNOWN  # no heartbeat


def test_in_chat_sessions_of_the_person_s_own_server_are_only_a_number() -> None:
    roster = Roster(agents=(replace(LEAD, socket=""),), tenant_id="t")
    listing = PaneListing("", Listing.OK, (pane("lead", 1), pane("private", 2)))
    whole = rows(sources(sockets={"": SocketRead(listing, NOW)}), roster)
    shown, hidden = for_chat(whole)
    assert ([r.name for r in shown.agents], hidden) == (["lead"], 1)
    assert for_chat(rows(sources(pane("mine", 5))))[1] == 0


def test_the_default_server_is_looked_at_only_when_agents_live_there() -> None:
    assert sockets_of(ROSTER, "here") == ("s",)
    assert sockets_of(Roster(agents=(STUB,), tenant_id="t"), "here") == ("s",)
    assert sockets_of(Roster(agents=(replace(STUB, socket=""),), tenant_id="t"), "here") == ("",)
    assert sockets_of(Roster(agents=(), tenant_id="t"), "here") == ("",)
    far = replace(FAR, socket="elsewhere")
    assert sockets_of(Roster(agents=(STUB, far), tenant_id="t", socket="s"), "here") == ("s",)


def test_a_kept_picture_ages() -> None:
    source = sources(pane("lead", 1, idle_s=200.0))
    later = row(source, now=NOW + timedelta(seconds=200))
    assert (later.idle_s, later.readiness) == (400, Readiness.STALE)


def test_one_failed_reading_keeps_the_last_good_one_and_three_over_time_are_unreachable() -> None:
    good, fails = remember(None, sources(pane("lead", 1)), {})
    kept: Sources = good
    judged = []
    for after_s in (5, 10, 15, 20):
        at = NOW + timedelta(seconds=after_s)
        broken = SocketRead(PaneListing("s", Listing.FAILED, problem="timeout"), at, "timeout", True)
        fresh = sources(sockets={"s": broken}, runtimes={}, at=at, heartbeats={"lead": replace(BEAT, ts=at)})
        kept, fails = remember(kept, fresh, fails)
        judged.append(row(kept, now=at))
    assert [r.readiness for r in judged[:3]] == [Readiness.AVAILABLE] * 3
    assert judged[2].evidence_age_s == 15
    assert (judged[3].readiness, judged[3].flags) == (Readiness.UNKNOWN, ("UNREACHABLE",))
    assert judged[3].pane_pid == 1001  # the last that was known
    back, fails = remember(kept, sources(pane("lead", 1)), fails)
    assert (row(back).flags, fails) == ((), {})


def test_a_manager_that_stops_answering_is_forgotten_only_after_three_readings() -> None:
    units = Units.parse(b"[]", frozenset())
    kept, fails = remember(None, sources(units=units), {})
    for after_s, known in ((5, True), (10, True), (19, True), (20, False)):
        fresh = sources(at=NOW + timedelta(seconds=after_s))
        kept, fails = remember(kept, fresh, fails)
        assert (kept.units is not None) is known
    no_fails: Fails = {}
    assert remember(None, sources(), no_fails)[0].units is None


def test_the_json_has_exactly_the_agreed_keys() -> None:
    body = snapshot_json(rows(sources(pane("lead", 1))))
    assert set(body) == {"ts", "paused", "hosts", "agents"}
    assert body["paused"] is False
    assert body["ts"].endswith("Z")
    assert set(body["hosts"][0]) == {"host", "reachable", "age_s"}
    keys = (
        "name alias class tenant_id host socket managed runtime runtime_seen model systemd_active "
        "systemd_enabled pane_id pane_alive pane_pid pane_command idle_s heartbeat state readiness task "
        "flags blocked_reason evidence_age_s"
    )
    assert list(body["agents"][0]) == keys.split()
    assert set(body["agents"][0]["heartbeat"]) == {"ts", "pid", "age_s", "health", "status"}
    assert body["agents"][0]["heartbeat"]["health"] == Health.HEALTHY
    assert set(body["agents"][0]["state"]) == {"status", "age_s"}
    assert body["agents"][2]["idle_s"] is None


def test_the_compatible_json_is_a_bare_array_with_the_names_of_old() -> None:
    old = compat_json(rows(sources(pane("lead", 1))))[0]
    wanted = (
        "name tenant_id host runtime systemdActive systemdEnabled paneAlive panePid paneCommand idleSeconds "
        "heartbeat readiness driftFlag bootEnableWarning managed class"
    )
    assert set(old) == set(wanted.split())
    assert (old["idleSeconds"], old["driftFlag"], old["heartbeat"]["ageMs"]) == (400, False, 1000)


def line(pane_id: str, session: str, command: bytes, *, length: int | None = None) -> bytes:
    head = f"{pane_id}\t{session}\t77\t0\t0\t\t1000\t\t900\t5\t{len(command) if length is None else length}:"
    return head.encode() + command + b"\n"


def test_no_command_name_can_break_or_forge_a_row() -> None:
    forged = b"x\n" + line("%9", "forged", b"y")[:-1]
    data = line("%1", "a", forged) + line("%2", "b", b"") + line("%3", "c", "\u00e9\t".encode())
    panes, server = parse_panes(data, 1010)
    assert [(p.session, p.pane_id) for p in panes] == [("a", "%1"), ("b", "%2"), ("c", "%3")]
    assert (panes[0].idle_s, panes[0].idle_source, panes[1].command, server) == (10, "window", None, 5)


def test_rows_that_cannot_be_read_are_left_out_and_the_rest_stays() -> None:
    data = b"noise\n" + line("%1", "a", b"sh") + b"%2\tcut\n" + line("%3", "c", b"sh", length=99)
    assert [p.session for p in parse_panes(data, 1010)[0]] == ["a", "c"]
    for cut in range(len(data)):
        parse_panes(data[:cut], 1010)
    assert LIST_FORMAT.count("\t") == 10


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        (("", "90", "99"), (10, "window")),
        (("95", "90", ""), (5, "pane")),
        (("0", "", "99"), (1, "session")),
        (("", "200", ""), (0, "window")),
        (("", "", ""), (None, None)),
        (("x", "-5", "²"), (None, None)),
    ],
)
def test_idle_is_the_first_positive_and_most_precise(fields: tuple[str, str, str], meant: object) -> None:
    assert idle_from(*fields, 100) == meant


def test_only_tmux_s_own_words_are_evidence_of_no_server() -> None:
    assert says_no_server("no server running on /tmp/tmux-1/x")
    assert says_no_server("error connecting to /tmp/tmux-1/x (No such file or directory)")
    assert not says_no_server("error connecting to /tmp/tmux-1/x (Permission denied)")
    assert not says_no_server("lost server")


def test_a_process_name_with_parentheses_and_blanks_reads() -> None:
    tail = b" S 1 5 5 0 7 " + b" ".join(b"%d" % n for n in range(9, 23)) + b" 0 0"
    process = parse_stat(b"42 (a) b (c)" + tail)
    assert process is not None
    assert (process.pid, process.comm, process.ppid, process.foreground) == (42, "a) b (c", 1, 7)
    assert parse_stat(b"") is None
    assert parse_stat(b"42 (x) S 1") is None
