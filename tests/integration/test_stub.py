from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_support import LiveFleet, tmux, wait_for

PERSON = "matrix:@ana:hs/abcdefghijkl.118"


class Door:
    """Stands where the node's event door is and keeps what comes."""

    def __init__(self, live: LiveFleet) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 200
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name is the library's
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/v1/events" and door.status == 200:
                    door.events.append(body)
                self.send_response(door.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        (live.home / "fleet" / "node.json").write_text(json.dumps({"port": self.server.server_port}))

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events if event["event"] != "idle"]

    def last(self, kind: str) -> dict[str, Any]:
        return next(event for event in reversed(self.events) if event["event"] == kind)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def door(live: LiveFleet) -> Iterator[Door]:
    door = Door(live)
    yield door
    door.close()


def tell(live: LiveFleet, text: str, *more: str) -> None:
    assert live.send("-s", "coder0", "-m", text, *more).returncode == 0


def person_says(live: LiveFleet, text: str) -> None:
    tell(live, text, "-S", PERSON, "-C", "human")


def keys(live: LiveFleet, *names: str) -> None:
    tmux(live.socket, "send-keys", "-t", "=coder0:", *names)


def ends(door: Door, count: int = 1) -> dict[str, Any]:
    wait_for(lambda: door.kinds().count("turn_ended") >= count, "the end of the turn")
    return door.last("turn_ended")


def test_a_turn_is_reported_after_it_is_in_the_transcript(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    tell(live, "hello\nworld")
    end = ends(door)
    assert door.kinds() == ["session_started", "prompt_accepted", "turn_ended"]
    accepted = door.last("prompt_accepted")
    assert accepted["text"] == live.transcript("coder0")[0]
    assert accepted["text"].endswith("] hello\nworld")
    assert (accepted["agent"], accepted["runtime"], accepted["pid"]) == (
        "coder0",
        "stub",
        live.pane("coder0")[1],
    )
    assert (end["turn_id"], end["reason"], end["last_message"]) == (accepted["turn_id"], "end", "Noted.")
    assert live.transcript("coder0", "assistant") == ["Noted."]


def test_a_person_is_answered_where_they_wrote(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    person_says(live, "how is it going?")
    (answer,) = wait_for(live.spool, "the answer")
    assert (answer["dst"], answer["class"]) == ("chat:abcdefghijkl.118", None)
    assert answer["body"] == "acknowledged: how is it going?"
    ends(door)


def test_a_persons_plain_words_are_no_directive(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    person_says(live, "escalate the matter")
    (answer,) = wait_for(live.spool, "the answer")
    assert answer["body"] == "acknowledged: escalate the matter"


def test_directives_that_speak(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    person_says(live, "stub: say done by myself")
    assert ends(door)["last_message"] == "done by myself"
    assert live.spool() == []
    for number, text in enumerate(("escalate which branch?", "stub: log built", "react 👍", "finish T-7"), 2):
        tell(live, text)
        ends(door, number)
    seen = [(one["dst"], one["class"], one["body"]) for one in live.spool()]
    assert seen == [
        ("chat", None, "which branch?"),
        ("chat", "terminal-log", "built"),
        ("chat:abcdefghijkl.118", "reaction", "👍"),
        ("chat:task/T-7", None, "done"),
    ]


def test_a_dialog_is_reported_and_answered_at_the_terminal(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    tell(live, "block run the tests")
    wait_for(lambda: "blocked" in door.kinds(), "the block")
    asked = door.last("blocked")
    assert (asked["reason"], asked["options"]) == ("run the tests", ["allow", "deny"])
    assert "Permission needed" in live.screen("coder0")
    keys(live, "n")
    assert ends(door)["last_message"] == "Denied."
    answered = door.last("unblocked")
    assert (answered["question"], answered["text"]) == (asked["question"], "deny")


def test_what_comes_while_it_works_becomes_one_prompt(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    tell(live, "hang 600")
    wait_for(lambda: "Working…" in live.screen("coder0"), "the work")
    for word in ("one", "two"):
        keys(live, "-l", word)
        keys(live, "Enter")
        wait_for(lambda word=word: f"Queued: {word}" in live.screen("coder0"), "the queue")
    keys(live, "Escape")
    assert ends(door)["reason"] == "escape"
    wait_for(lambda: live.transcript("coder0")[1:], "the next prompt")
    assert live.transcript("coder0")[1:] == ["one\n\ntwo"]


def test_clear_makes_a_new_session_and_ctrl_c_twice_leaves(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    wait_for(lambda: door.kinds() == ["session_started"], "the first session")
    keys(live, "-l", "/clear")
    keys(live, "Enter")
    wait_for(lambda: door.kinds().count("session_started") == 2, "the new session")
    assert door.events[0]["session_id"] != door.last("session_started")["session_id"]
    keys(live, "C-c")
    wait_for(lambda: "again to leave" in live.screen("coder0"), "the warning")
    keys(live, "C-c")
    wait_for(lambda: door.kinds()[-1] == "session_ended", "the end")
    wait_for(lambda: not live.screen("coder0"), "the end of the pane")


def test_a_crash_says_nothing(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    tell(live, "crash")
    wait_for(lambda: not live.screen("coder0"), "the end of the pane")
    assert door.kinds()[-1] == "prompt_accepted"


def test_a_door_that_opens_late_gets_everything_in_order(live: LiveFleet) -> None:
    live.start("coder0")
    tell(live, "hello")
    wait_for(lambda: live.transcript("coder0", "assistant"), "the end of the turn")
    door = Door(live)
    try:
        ends(door)
        assert door.kinds() == ["session_started", "prompt_accepted", "turn_ended"]
    finally:
        door.close()


def test_it_tells_the_truth_about_its_status_in_a_file(live: LiveFleet, door: Door) -> None:
    live.start("coder0")
    file = live.home / "fleet" / "run" / "stub" / "coder0.json"
    tell(live, "block")
    wait_for(lambda: json.loads(file.read_text())["status"] == "blocked", "blocked")
    keys(live, "Enter")
    wait_for(lambda: json.loads(file.read_text())["status"] == "idle", "idle")
    assert "Allowed." in live.transcript("coder0", "assistant")
