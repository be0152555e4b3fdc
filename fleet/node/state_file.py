"""The writer's side of `fleet/run/<agent>.state`. Only the node writes it; readers are in `observe.state`.

Beside what readers know, the file keeps what the next node run needs: the running turn and its tokens.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fleet.files import write_atomic
from fleet.home import Home
from fleet.model import AgentState
from fleet.node.turns import Track
from fleet.observe.state import parse_state


def save(home: Home, agent: str, track: Track) -> None:
    """Write the state file atomically; nothing while nothing is known. Raises OSError."""
    if track.state is None:
        return
    fields = _fields(track.state)
    fields["turn"] = {"open": track.turn_open, "tokens": list(track.tokens), "ended": list(track.ended)}
    write_atomic(home.state(agent), json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"))


def load(home: Home, agent: str) -> Track:
    """What an earlier run wrote; an empty track when there is nothing usable. Never raises."""
    try:
        data = home.state(agent).read_bytes()
    except OSError:
        return Track()
    state = parse_state(data)
    if state is None:
        return Track()
    turn = json.loads(data).get("turn")  # parse_state has shown that it is an object
    if not isinstance(turn, dict):
        turn = {}
    return Track(
        state=state,
        turn_open=turn.get("open") is True,
        tokens=_words(turn.get("tokens")),
        ended=_words(turn.get("ended")),
    )


def _fields(state: AgentState) -> dict[str, Any]:
    return {
        "v": 1,
        "status": state.status,
        "ts": _time(state.ts),
        "evidence": state.evidence,
        "node_start": state.node_start,
        "runtime": state.runtime,
        "model": state.model,
        "session_id": state.session_id,
        "turn_id": state.turn_id,
        "task": state.task,
        "task_since": _time(state.task_since),
        "blocked_reason": state.blocked_reason,
        "question": dict(state.question) if state.question else None,
        "pid": state.pid,
    }


def _time(ts: datetime | None) -> str | None:
    return ts.astimezone(UTC).isoformat().replace("+00:00", "Z") if ts else None


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
