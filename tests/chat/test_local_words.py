"""What is typed into the local surface, and how facts are shown there."""

from __future__ import annotations

from connectors.local.words import is_final, plain, shown, understand


def test_a_typed_line_is_a_request() -> None:
    assert understand("hi  there\n", "ops").fields == {"room": "ops", "text": "hi  there"}
    assert understand("/thread 7 go on", "ops").fields == {"room": "ops", "text": "go on", "thread": "7"}
    assert understand("/thread 7", "ops").op == "wrong"
    assert understand("   ", "ops").op == "nothing"
    assert understand("/quit", "ops").op == "quit"


def test_nothing_shown_can_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x07\u202ec\r\nd\te\x9b") == "a[2Jbc\nd\te"


def test_a_fact_is_one_readable_line_with_the_number_to_answer_by() -> None:
    fact = {
        "event": "message",
        "id": "12-abc",
        "room": "log",
        "sender": "mosaic",
        "ts": "2026-01-01T00:00:00+00:00",
        "text": "done\x1b[31m",
        "thread": "7-abc",
    }
    line = shown(fact, "ops")
    assert line is not None
    assert line.endswith("#log [12] mosaic (thread 7): done[31m")
    assert "#log" not in (shown(fact, "log") or "")
    assert shown({"event": "hello"}, "ops") is None


def test_a_notice_answers_a_command_but_not_plain_words() -> None:
    reply = {"event": "message", "bot": True, "reply_to": "1-a", "silent": True}
    assert is_final(reply, "!fleet ps", "1-a")
    assert not is_final(reply, "how are you?", "1-a")
    assert is_final({**reply, "silent": False}, "how are you?", "1-a")
    assert not is_final({**reply, "bot": False}, "!fleet ps", "1-a")
    assert not is_final({**reply, "reply_to": None}, "!fleet ps", "1-a")
