"""A snapshot as the JSON that other programs rely on. Unknown is null."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fleet.model import AgentRow, Heartbeat, Snapshot


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """The object of `fleet ps --json`; ``paused`` is true or false. Ages and idle times are seconds."""
    return {
        "ts": _time(snapshot.ts),
        "paused": snapshot.paused is not None,
        "hosts": [
            {"host": host.host, "reachable": host.reachable, "age_s": _seconds(host.age_s)}
            for host in snapshot.hosts
        ],
        "agents": [_row(row) for row in snapshot.agents],
    }


def compat_json(snapshot: Snapshot) -> list[dict[str, Any]]:
    """`--json=compat`: a bare array with the keys of the reference's rows (PS-02, HB-05)."""
    return [_compat(row) for row in snapshot.agents]


def _row(row: AgentRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "alias": row.alias,
        "class": row.agent_class,
        "tenant_id": row.tenant_id,
        "host": row.host,
        "socket": row.socket,
        "managed": row.managed,
        "runtime": row.runtime,
        "runtime_seen": row.runtime_seen,
        "model": row.model,
        "systemd_active": row.systemd_active,
        "systemd_enabled": row.systemd_enabled,
        "pane_id": row.pane_id,
        "pane_alive": row.pane_alive,
        "pane_pid": row.pane_pid,
        "pane_command": row.pane_command,
        "idle_s": _seconds(row.idle_s),
        "heartbeat": _heartbeat(row.heartbeat),
        "state": {
            "status": row.state.status if row.state else None,
            "age_s": _seconds(row.state_age_s),
        },
        "readiness": str(row.readiness),
        "task": row.task,
        "flags": list(row.flags),
        "blocked_reason": row.blocked_reason,
        "evidence_age_s": _seconds(row.evidence_age_s),
    }


def _heartbeat(heartbeat: Heartbeat) -> dict[str, Any]:
    return {
        "ts": _time(heartbeat.ts),
        "pid": heartbeat.pid,
        "age_s": _seconds(heartbeat.age_s),
        "health": str(heartbeat.health),
        "status": heartbeat.status,
    }


def _compat(row: AgentRow) -> dict[str, Any]:
    heartbeat = row.heartbeat
    return {
        "name": row.name,
        "class": row.agent_class,
        "tenant_id": row.tenant_id,
        "host": row.host,
        "runtime": row.runtime,
        "systemdActive": row.systemd_active,
        "systemdEnabled": row.systemd_enabled,
        "paneAlive": row.pane_alive,
        "panePid": row.pane_pid,
        "paneCommand": row.pane_command,
        "idleSeconds": None if row.idle_s is None else int(row.idle_s),
        "heartbeat": {
            "ts": _time(heartbeat.ts),
            "pid": heartbeat.pid,
            "status": heartbeat.status,
            "ageMs": None if heartbeat.age_s is None else int(heartbeat.age_s * 1000),
            "health": str(heartbeat.health),
            "model": heartbeat.model,
        },
        "readiness": str(row.readiness),
        "driftFlag": "DRIFT" in row.flags,
        "bootEnableWarning": "BOOT-ENABLE" in row.flags,
        "managed": row.managed,
    }


def _time(when: datetime | None) -> str | None:
    if when is None:
        return None
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
