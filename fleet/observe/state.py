"""The reader's side of `fleet/run/<agent>.state`: what the programs reported, as the node wrote it."""

from __future__ import annotations

import json
from typing import Any

from fleet.home import Home
from fleet.model import AgentState
from fleet.observe.heartbeat import parse_time, read_folder

_SIZE_LIMIT_BYTES = 262_144
_WORDS = ("runtime", "model", "session_id", "turn_id", "task", "blocked_reason")


def scan_states(home: Home) -> dict[str, AgentState]:
    """Every readable state file by agent name. Missing and broken ones are simply not there: that the
    program's state is then unknown is the readiness' business. Never raises."""
    found = read_folder(home.run, ".state", _SIZE_LIMIT_BYTES)
    states = {name: parse_state(data) for name, data in found.items() if data is not None}
    return {name: state for name, state in states.items() if state is not None}


def parse_state(data: bytes) -> AgentState | None:
    """One state file, or None when it is not one. Unknown keys are left aside."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    ts = parse_time(_text(body, "ts"))
    status = _text(body, "status")
    if ts is None or status is None:
        return None
    question = body.get("question")
    pid = body.get("pid")
    return AgentState(
        status=status,
        ts=ts,
        evidence=_text(body, "evidence") or "unknown",
        node_start=_text(body, "node_start") or "",
        task_since=parse_time(_text(body, "task_since")),
        question=question if isinstance(question, dict) else None,
        pid=pid if isinstance(pid, int) and not isinstance(pid, bool) else None,
        **{word: _text(body, word) for word in _WORDS},
    )


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    return value if isinstance(value, str) and value else None
