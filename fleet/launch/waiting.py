"""A launch check that failed in an agent's own pane: say so, keep the pane, try again until it is mended.

Ending instead would show the agent as dead and have it started over and over. The node is told in the form
of a block, so `fleet ps` shows the reason and people get it like any other. Stdlib only.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from fleet.home import Home

VARIABLE = "MOSAIC_LAUNCH_WAITS"  # the launcher sets it for what it starts; it does not reach the program
AGAIN_S = 5.0
ANSWER_LIMIT_S = 3.0


def waits(env: Mapping[str, str]) -> bool:
    """Whether this is an agent's own start in its pane, and not a person's or a program's call."""
    return bool(env.get(VARIABLE) and env.get("MOSAIC_AGENT_NAME")) and os.isatty(0) and os.isatty(1)


class Waiting:
    """The open question of one start. ``sleep`` takes seconds, ``post`` one event for the node."""

    def __init__(
        self,
        home: Home,
        agent: str,
        runtime: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        post: Callable[[Home, Mapping[str, object]], None] | None = None,
    ) -> None:
        self._home = home
        self._agent = agent
        self._runtime = runtime
        self._sleep = sleep
        self._post = post or post_event
        self._asked: str | None = None

    def failed(self, reason: str) -> bool:
        """Tell the node of the failed check; whether ``reason`` is a new one. It is told each time, because
        a node that has just started knows nothing of it."""
        question = f"launch-{os.getpid()}-{hashlib.sha256(reason.encode()).hexdigest()[:8]}"
        new, self._asked = question != self._asked, question
        self._tell("blocked", reason, question)
        return new

    def pause(self) -> None:
        """Until the next try."""
        self._sleep(AGAIN_S)

    def passed(self) -> None:
        """The check passes now; nothing is told where none had failed."""
        if self._asked is not None:
            self._tell("unblocked", "the launch check passes", self._asked)

    def _tell(self, event: str, reason: str, question: str) -> None:
        body: dict[str, object] = {
            "v": 1,
            "agent": self._agent,
            "runtime": self._runtime,
            "event": event,
            "pid": os.getpid(),
            "ts": datetime.now(UTC).isoformat(),
            "reason": reason[:2000],
            "question": question,
        }
        self._post(self._home, body)


def post_event(home: Home, body: Mapping[str, object]) -> None:
    """One event to the node of this home. A node that is down is no reason to stop: it is told later."""
    try:
        port = int(json.loads(home.node_json.read_bytes())["port"])
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT_S)
        try:
            line.request("POST", "/v1/events", json.dumps(body), {"Content-Type": "application/json"})
            line.getresponse().read()
        finally:
            line.close()
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return
