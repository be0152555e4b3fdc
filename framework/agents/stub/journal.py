"""What the stub leaves behind: its transcript, its state file, its reports to the node."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from .report import Reporter
from .words import now_text


class Journal:
    """Files in `fleet/run/stub/`: `<agent>.jsonl` (transcript, appended), `<agent>.json` (status now)."""

    def __init__(self, home: Path, agent: str, model: str) -> None:
        self._agent, self._model = agent, model
        self._folder = home / "fleet" / "run" / "stub"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._reporter = Reporter(home)
        self.session = self._new_session()

    @staticmethod
    def _new_session() -> str:
        return f"stub-{uuid.uuid4().hex[:12]}"

    def renew(self) -> None:
        self.session = self._new_session()

    def record(self, kind: str, text: str, turn_id: str, **more: object) -> None:
        """One transcript line, on the disk before anybody is told of it."""
        line: dict[str, object] = {"type": kind, "text": text, "ts": now_text(), "session_id": self.session}
        line.update(turn_id=turn_id, **more)
        with (self._folder / f"{self._agent}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def report(
        self, event: str, status: str, turn_id: str | None, patience_s: float = 10.0, **more: object
    ) -> None:
        """Tell the node. ``status`` (idle, busy, blocked, ended) goes into the state file."""
        ts = now_text()
        state = {
            "pid": os.getpid(),
            "session_id": self.session,
            "status": status,
            "turn_id": turn_id,
            "ts": ts,
        }
        temp = self._folder / f".{self._agent}.{os.getpid()}"
        temp.write_text(json.dumps(state) + "\n", "utf-8")
        temp.replace(self._folder / f"{self._agent}.json")
        body: dict[str, object] = dict.fromkeys(
            ("text", "last_message", "reason", "question", "options", "task")
        )
        body.update(v=1, agent=self._agent, runtime="stub", event=event, session_id=self.session)
        body.update(turn_id=turn_id, pid=os.getpid(), ts=ts, model=self._model)
        self._reporter.post({**body, **more}, patience_s)

    def close(self, wait_s: float) -> None:
        self._reporter.close(wait_s)
