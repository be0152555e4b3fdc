"""The stub as a program: keys and time in, the picture out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import termios
import time
import tty
from pathlib import Path

from .journal import Journal
from .keyboard import Keyboard
from .screen import Screen, cells, wrap
from .turns import CHOICES, Turns

SPINNER = "✻✽✶✢"
SHOWN_ROWS = 12  # of a draft; of a longer one the end is seen


class Program:
    """Owns the terminal from :meth:`run` to its end."""

    def __init__(self, home: Path, agent: str) -> None:
        self.agent = agent
        self.model = os.environ.get("MOSAIC_AGENT_MODEL") or "stub-1"
        self.journal = Journal(home, agent, self.model)
        think_s, idle_s = (
            float(os.environ.get(k) or d) for k, d in (("STUB_THINK_S", 0.3), ("STUB_IDLE_S", 20))
        )
        self.turns = Turns(home, self.journal, self.model, think_s, idle_s)
        self.keyboard, self.screen = Keyboard(), Screen(sys.stdout.fileno())
        self.draft, self.choice = "", 0
        self.leaving_at, self.drawn, self.running = -10.0, "", True
        self.end_reason = "exit"  # a person's wish; a signal or a lost terminal is none

    def run(self) -> int:
        source = sys.stdin.fileno()
        before = termios.tcgetattr(source)
        tty.setraw(source)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGWINCH, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._leave)
        self.screen.write("\x1b[?2004h\x1b]2;stub-agent\x07")
        self.turns.say.append(f"stub-agent · {self.agent} · no model, no costs · Ctrl-C twice leaves")
        self.journal.report("session_started", "idle", None)
        try:
            while self.running:
                self.draw()
                ready, _, _ = select.select([source, wake_read], [], [], self._patience())
                if wake_read in ready:
                    os.read(wake_read, 1024)
                if source in ready and not self._read(source):
                    self.end_reason = "signal"
                    break
                self._take(self.keyboard.expire(time.monotonic()))
                self.turns.tick()
        finally:
            with contextlib.suppress(OSError, termios.error):
                self.screen.write("\x1b[?2004l\r\n")
                termios.tcsetattr(source, termios.TCSADRAIN, before)
            self.journal.report("session_ended", "ended", None, 1.0, reason=self.end_reason)
            self.journal.close(1.5)
        return 0

    def _leave(self, *_: object) -> None:
        self.running, self.end_reason = False, "signal"

    def _patience(self) -> float:
        wait = self.turns.patience()
        if self.keyboard.escape_at is not None:
            wait = min(wait, self.keyboard.escape_at - time.monotonic())
        return max(0.0, wait)

    def _read(self, source: int) -> bool:
        try:
            data = os.read(source, 65536)
        except OSError:
            return False
        self._take(self.keyboard.feed(data, time.monotonic()))
        return bool(data)

    def _take(self, keys: list[tuple[str, bytes | str]]) -> None:
        for _kind, value in keys:
            dialog = self.turns.turn is not None and self.turns.turn.question is not None
            if isinstance(value, str):
                if not dialog:  # a dialog has no room for text: it is lost, as in the real programs
                    self.draft += value
            elif dialog:
                self._dialog_key(value)
            else:
                self._key(value)

    def _dialog_key(self, key: bytes) -> None:
        if key in {b"\x1b[A", b"\x1b[B", b"\x1bOA", b"\x1bOB", b"\t"}:
            self.choice = 1 - self.choice
            return
        if key in {b"y", b"1"}:
            answer = "allow"
        elif key in {b"n", b"2", b"\x1b", b"\x03"}:
            answer = "deny"
        elif key == b"\r":
            answer = CHOICES[self.choice]
        else:
            return
        self.choice = 0
        self.turns.decide(answer)

    def _key(self, key: bytes) -> None:
        if key == b"\r":
            self._enter()
        elif key == b"\n":
            self.draft += "\n"
        elif key in {b"\x7f", b"\x08"}:
            self.draft = self.draft[:-1]
        elif key == b"\x15":
            self.draft = ""
        elif key == b"\x03":
            self._control_c()
        elif key == b"\x1b":
            self.turns.interrupt()
        elif key == b"\x0c":
            self._wipe()
        elif not key.startswith(b"\x1b") and key >= b" ":
            self.draft += key.decode("utf-8", "replace")

    def _control_c(self) -> None:
        if self.draft:
            self.draft = ""
        elif time.monotonic() - self.leaving_at < 2:
            self.running = False
        else:
            self.leaving_at = time.monotonic()
            self.turns.say.append("Press Ctrl-C again to leave")

    def _enter(self) -> None:
        text, self.draft = self.draft, ""
        word = text.strip()
        if word == "/clear":
            self.turns.clear()
            self._wipe()
            self.turns.say[:] = ["A new session."]
        elif word in {"/exit", "/quit"}:
            self.running = False
        elif word:
            self.turns.submit(text)

    def _wipe(self) -> None:
        self.screen.forget()
        self.drawn = ""

    def draw(self) -> None:
        rule, turn = "─" * (self.screen.width - 1), self.turns.turn
        if turn and turn.question:
            marks = ["❯" if number == self.choice else " " for number in range(len(CHOICES))]
            top = [
                rule,
                " Permission needed",
                f" {turn.reason}",
                f" {marks[0]} 1. Allow",
                f" {marks[1]} 2. Deny",
            ]
            top.append(" Enter to confirm · Esc to cancel")
            cursor, status = (3 + self.choice, 1), "waiting for an answer"
        else:
            top, status = [], "idle"
            if turn:
                age = int(time.monotonic() - turn.started)
                top.append(
                    f"{SPINNER[0]} Working…"
                    if turn.silent
                    else f"{SPINNER[age % len(SPINNER)]} Working… ({age}s · esc to interrupt)"
                )
                status = "busy · esc to interrupt"
            top.extend(f"  Queued: {text.splitlines()[0]}" for text in self.turns.queued)
            rows = self._prompt_rows()
            top += [rule, *rows]
            cursor = (len(top) - 1, sum(map(cells, rows[-1])))
        bottom = [*top, rule, f"  stub · {self.agent} · {self.model} · {status}"]
        picture = json.dumps([bottom, cursor, self.screen.width])
        if self.turns.say or picture != self.drawn:
            self.screen.show(self.turns.say, bottom, cursor)
            self.turns.say.clear()
            self.drawn = picture

    def _prompt_rows(self) -> list[str]:
        rows = [part for line in self.draft.split("\n") for part in wrap(line, self.screen.width - 4)]
        if len(rows) > SHOWN_ROWS:
            rows = [f"… {len(rows) - SHOWN_ROWS + 1} lines above", *rows[-SHOWN_ROWS + 1 :]]
        return [f"{'  ' if number else '❯ '}{row}" for number, row in enumerate(rows)]
