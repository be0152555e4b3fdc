"""What the stub tells the fleet's node, over HTTP, like any program's hook."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from pathlib import Path


class Reporter:
    """Tells the node what happens, in order, from a thread of its own: a node that is down delays nothing."""

    def __init__(self, home: Path) -> None:
        self._file = home / "fleet" / "node.json"
        self._queue: queue.SimpleQueue[tuple[dict[str, object], float] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)
        self._thread.start()

    def post(self, event: dict[str, object], patience_s: float = 10.0) -> None:
        self._queue.put((event, time.monotonic() + patience_s))

    def close(self, wait_s: float) -> None:
        self._queue.put(None)
        self._thread.join(wait_s)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            event, until = item
            while not self._send(event) and time.monotonic() < until:
                time.sleep(0.25)

    def _send(self, event: dict[str, object]) -> bool:
        try:
            port = int(json.loads(self._file.read_text("utf-8"))["port"])
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
            try:
                line.request("POST", "/v1/events", json.dumps(event), {"Content-Type": "application/json"})
                status = line.getresponse().status
            finally:
                line.close()
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return False
        return status < 500  # what the node refuses is not better the second time
