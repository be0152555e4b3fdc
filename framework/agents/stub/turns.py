"""The stub's work: one prompt after another, what is to be done for each message in it, and the dialog."""

from __future__ import annotations

import collections
import os
import re
import signal
import subprocess
import time
import uuid
from pathlib import Path

from .journal import Journal
from .words import HANDLE, SPLIT, parse_directive, parse_message

CHOICES = ("allow", "deny")


class Turn:
    """One prompt being worked on: its messages, what is to be done for each, when it is due."""

    def __init__(self, text: str, started: float, due: float) -> None:
        self.id = f"turn-{uuid.uuid4().hex[:12]}"
        self.text, self.started = text, started
        self.messages = collections.deque(part for part in SPLIT.split(text) if part and part.strip())
        self.due: float | None = due
        self.child: subprocess.Popen[bytes] | None = None
        self.question: str | None = None
        self.reason = ""
        self.then: str | None = None  # message to answer when the present work is over
        self.last, self.silent = "", False


class Turns:
    """``say`` collects lines for the screen. At most one turn runs; what comes meanwhile is ``queued``."""

    def __init__(self, home: Path, journal: Journal, model: str, think_s: float, idle_every_s: float) -> None:
        self._tool = home / "tools" / "tmux" / "agent-send.sh"
        self._journal, self._model = journal, model
        self._think_s, self._idle_every_s = think_s, idle_every_s
        self._next_idle = time.monotonic() + idle_every_s
        self._reply_to: str | None = None  # where the last person's message came from
        self._tokens = 0
        self.turn: Turn | None = None
        self.queued: list[str] = []
        self.say: list[str] = []

    def submit(self, text: str) -> None:
        if self.turn:
            self.queued.append(text)
        else:
            self._begin(text)

    def interrupt(self) -> None:
        if self.turn:
            self._end(self.turn, "escape")

    def clear(self) -> None:
        """A new session: the turn and what waits behind it are dropped."""
        self.queued.clear()
        if self.turn:
            self._end(self.turn, "cleared")
        self._journal.report("session_ended", "idle", None, reason="cleared")
        self._journal.renew()
        self._reply_to = None
        self._journal.report("session_started", "idle", None, reason="cleared")

    def decide(self, answer: str) -> None:
        """The open dialog is answered at the terminal."""
        turn = self.turn
        assert turn is not None
        question, turn.question = turn.question, None
        turn.due = time.monotonic() + self._think_s
        turn.last = "Allowed." if answer == "allow" else "Denied."
        self.say.append(f"● {turn.last}")
        self._journal.report("unblocked", "busy", turn.id, question=question, text=answer)

    def patience(self) -> float:
        """Seconds until :meth:`tick` has something to do."""
        now = time.monotonic()
        if self.turn is None:
            return max(0.0, self._next_idle - now)
        return 0.25 if self.turn.due is None else max(0.0, min(0.25, self.turn.due - now))

    def tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_idle:
            self._next_idle = now + self._idle_every_s
            if not self.turn:
                self._journal.report("idle", "idle", None, 2.0)
        turn = self.turn
        if turn is None or turn.question:
            return
        if turn.child is not None:
            if turn.child.poll() is None:
                return
            if turn.child.returncode:
                turn.last = f"The send tool failed with exit {turn.child.returncode}."
                self.say.append(f"● {turn.last}")
            turn.child, turn.due = None, now
        if turn.due is None or now < turn.due:
            return
        turn.silent = False
        if turn.then is not None:
            message, turn.then = turn.then, None
            self._answer(turn, message)
        elif turn.messages:
            self._handle(turn, turn.messages.popleft())
        else:
            self._end(turn, "end")

    def _begin(self, text: str) -> None:
        now = time.monotonic()
        turn = self.turn = Turn(text, now, now + self._think_s)
        self.say.extend(f"{'  ' if n else '> '}{line}" for n, line in enumerate(text.split("\n")))
        self._journal.record("user", text, turn.id)  # first the transcript: who is told looks there
        self._journal.report("prompt_accepted", "busy", turn.id, text=text)

    def _end(self, turn: Turn, reason: str) -> None:
        if turn.question:
            self.decide("deny")
        last = {"escape": "Interrupted.", "cleared": ""}.get(reason, turn.last or "Noted.")
        usage = {"input_tokens": len(turn.text.split()), "output_tokens": self._tokens or len(last.split())}
        self._tokens = 0
        self.say.append(f"● {last}")
        self._journal.record("assistant", last, turn.id, model=self._model, usage=usage, reason=reason)
        self.turn = None
        self._journal.report("turn_ended", "idle", turn.id, last_message=last, reason=reason)
        self._next_idle = time.monotonic() + self._idle_every_s
        if self.queued:
            text = "\n\n".join(self.queued)
            self.queued.clear()
            self._begin(text)

    def _handle(self, turn: Turn, message: str) -> None:
        source, kind, body = parse_message(message)
        if kind == "human" and (found := HANDLE.search(source)):
            self._reply_to = f"chat:{found[1]}"
        directive = parse_directive(body, kind == "human")
        if directive is None:
            self._answer(turn, message)
        else:
            self._obey(turn, message, *directive)

    def _answer(self, turn: Turn, message: str) -> None:
        source, kind, body = parse_message(message)
        found = HANDLE.search(source)
        if kind == "human" and found:
            turn.last = "I answered in the chat."
            self._send(turn, f"chat:{found[1]}", f"acknowledged: {body}")
        else:
            turn.last = turn.last or "Noted."

    def _obey(self, turn: Turn, message: str, word: str, argument: str) -> None:
        turn.last = f"Done: {word}."
        if word == "block":
            turn.question, turn.due = f"q-{uuid.uuid4().hex[:10]}", None
            turn.reason = argument or "May I run this command?"
            self._journal.report(
                "blocked",
                "blocked",
                turn.id,
                question=turn.question,
                reason=turn.reason,
                options=list(CHOICES),
            )
        elif word in {"ask", "escalate"}:
            self._send(turn, "chat", argument)
        elif word == "log":
            self._send(turn, "chat", argument, "terminal-log")
        elif word == "react":
            self._send(turn, self._reply_to or "chat", argument, "reaction")
        elif word == "send":
            target, _, text = argument.partition(" ")
            self._send(turn, target, text)
        elif word == "finish" and argument:
            self._send(turn, f"chat:task/{argument}", "done")
        elif word in {"hang", "slow"}:
            seconds = float(argument) if re.fullmatch(r"\d+(\.\d+)?", argument) else None
            turn.due = None if seconds is None else time.monotonic() + seconds
            turn.silent = word == "hang"
            turn.then = message if word == "slow" else None
        elif word == "say":
            turn.last = argument
        elif word == "spend":
            self._tokens += int(argument) if argument.isdigit() else 0
        elif word == "crash":
            os.kill(os.getpid(), signal.SIGKILL)

    def _send(self, turn: Turn, target: str, text: str, kind: str | None = None) -> None:
        argv = [str(self._tool), "-s", target] + (["-C", kind] if kind else [])
        self.say.append(f"● agent-send.sh -s {target} · {text.splitlines()[0] if text else ''}")
        try:
            turn.child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            assert turn.child.stdin is not None
            with turn.child.stdin as pipe:
                pipe.write(text.encode("utf-8", "replace"))
        except OSError as problem:
            turn.last = f"The send tool does not run: {problem}"
            self.say.append(f"● {turn.last}")
