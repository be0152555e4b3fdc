"""The pure parts of the Matrix connector: reading events, building them, judging answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.matrix import content as build
from connectors.matrix.connector import backoff_s
from connectors.matrix.convert import Facts, convert, without_quote
from connectors.matrix.gap import since_joining
from connectors.matrix.outcome import judge
from connectors.matrix.rooms import find_inviter
from connectors.matrix.wire import Reply
from connectors.protocol import Content, Edited, MessageReceived, Rejected, Sent, Target, Unavailable

ME = "@bot:hs"
FACTS = Facts(ME, "!r:hs", 3)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    ["body", "msgtype", "m.relates_to", "m.new_content", "m.mentions", "url", "info", "filename", "redacts"]
)
kinds = st.sampled_from(["m.room.message", "m.reaction", "m.room.redaction", "m.room.encrypted", "m.other"])


def event(content: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {
        "type": "m.room.message",
        "event_id": "$e",
        "sender": "@ana:hs",
        "origin_server_ts": 1_700_000_000_000,
    }
    return {**base, "content": content, **more}


@settings(max_examples=300, deadline=None)
@given(
    kind=kinds,
    content=st.dictionaries(known_keys, json_values | st.just("m.text") | st.just("m.image")) | json_values,
    ts=json_values,
)
def test_no_event_of_anybody_surprises_the_reader(kind: str, content: Any, ts: Any) -> None:
    fact = convert(event(content, type=kind, origin_server_ts=ts), FACTS)
    assert fact is None or (fact.id, fact.sender, fact.ts.utcoffset() is not None) == ("$e", "@ana:hs", True)


def test_own_posts_and_state_are_no_facts() -> None:
    text = {"msgtype": "m.text", "body": "x"}
    assert convert(event(text, sender=ME), FACTS) is None
    assert convert(event(text, state_key=""), FACTS) is None
    assert convert(event({}), FACTS) is None  # redacted since


@pytest.mark.parametrize(
    ("content", "sender", "capable"),
    [
        ({"msgtype": "m.text", "body": "x"}, "@ana:hs", True),
        ({"msgtype": "m.notice", "body": "x"}, "@ana:hs", False),
        ({"msgtype": "m.emote", "body": "x"}, "@ana:hs", False),
        ({"msgtype": "org.custom", "body": "x"}, "@ana:hs", False),
        ({"msgtype": "m.text", "body": "x"}, "@_discord_1234:hs", False),
    ],
)
def test_only_peoples_own_words_can_command(content: dict[str, Any], sender: str, capable: bool) -> None:
    fact = convert(event(content, sender=sender), FACTS)
    assert isinstance(fact, MessageReceived)
    assert fact.is_command_capable is capable


def test_an_edit_names_its_target_and_the_new_text_only() -> None:
    fact = convert(event(build.edit("$old", Content("!fleet ps"))), FACTS)
    assert isinstance(fact, Edited)
    assert (fact.target, fact.text) == ("$old", "!fleet ps")


def test_a_thread_is_read_back_as_it_was_built() -> None:
    plain = convert(event(build.message(Target("!r:hs", "$root"), Content("x"))), FACTS)
    quoting = convert(event(build.message(Target("!r:hs", "$root"), Content("x", reply_to="$q"))), FACTS)
    assert isinstance(plain, MessageReceived)
    assert isinstance(quoting, MessageReceived)
    assert (plain.thread, plain.reply_to) == ("$root", None)
    assert (quoting.thread, quoting.reply_to) == ("$root", "$q")


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("> <@bot:hs> !fleet stop\n\nyes please", "yes please"),
        ("> one\n> two\n\nfirst\n> mine", "first\n> mine"),
        ("no quote", "no quote"),
        ("> only a quote", ""),
    ],
)
def test_quoted_lines_are_taken_off_the_front_only(body: str, left: str) -> None:
    assert without_quote(body) == left


def test_old_clients_name_the_bot_in_the_text() -> None:
    named = convert(event({"msgtype": "m.text", "body": f"{ME}: hello"}), FACTS)
    listed_empty = convert(event({"msgtype": "m.text", "body": f"{ME}: hello", "m.mentions": {}}), FACTS)
    assert isinstance(named, MessageReceived)
    assert isinstance(listed_empty, MessageReceived)
    assert named.mentions_me
    assert not listed_empty.mentions_me


@settings(max_examples=60, deadline=None)
@given(text=st.text(min_size=1, max_size=30), times=st.integers(1, 8000), formatted=st.booleans())
def test_every_post_and_edit_fits_into_one_event(text: str, times: int, formatted: bool) -> None:
    content = Content(text * times, html=text * times if formatted else None, ping=("@ana:hs",))
    for made in (build.message(Target("!r:hs", "$root"), content), build.edit("$old", content)):
        assert len(json.dumps(made, ensure_ascii=False).encode(errors="replace")) < 63_000
        assert "m.mentions" in made


def test_what_fits_is_not_touched() -> None:
    made = build.message(Target("!r:hs"), Content("a" * 14_000, html="b" * 14_000))
    assert (made["body"], made["formatted_body"]) == ("a" * 14_000, "b" * 14_000)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, {"event_id": "$1"}), Sent),
        (Reply(400, {"errcode": "M_DUPLICATE_ANNOTATION"}), Sent),
        (Reply(403, {"errcode": "M_FORBIDDEN", "error": "no"}), Rejected),
        (Reply(413, {"errcode": "M_TOO_LARGE", "error": "no"}), Rejected),
        (Reply(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2500}), Unavailable),
        (Reply(401, {"errcode": "M_UNKNOWN_TOKEN"}), Unavailable),
        (Reply(404), Unavailable),  # a proxy whose homeserver is being restarted
        (Reply(502), Unavailable),
    ],
)
def test_only_matrix_itself_refuses_for_good(reply: Reply, kind: type) -> None:
    assert isinstance(judge(reply), kind)


def test_the_servers_wish_to_slow_down_is_passed_on() -> None:
    assert judge(Reply(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2500})) == Unavailable(
        "the homeserver asks to slow down", 2.5
    )


def test_only_what_came_after_our_joining_counts() -> None:
    join = {"type": "m.room.member", "state_key": ME, "content": {"membership": "join"}}
    renamed = {**join, "unsigned": {"prev_content": {"membership": "join"}}}
    first, second = event({}, event_id="$1"), event({}, event_id="$2")
    assert since_joining([first, join, second], ME) == [second]
    assert since_joining([first, renamed, second], ME) == [first, renamed, second]


def test_the_inviter_is_who_invites_us_and_nobody_else() -> None:
    creator = {
        "type": "m.room.member",
        "state_key": "@ana:hs",
        "sender": "@ana:hs",
        "content": {"membership": "join"},
    }
    invite = {
        "type": "m.room.member",
        "state_key": ME,
        "sender": "@eve:hs",
        "content": {"membership": "invite"},
    }
    assert find_inviter(ME, {"invite_state": {"events": [creator, invite]}}) == "@eve:hs"
    assert find_inviter(ME, {"invite_state": {"events": [creator]}}) is None
    assert find_inviter(ME, {"invite_state": None}) is None


def test_waiting_grows_to_its_cap() -> None:
    assert backoff_s(1, refused=False) < backoff_s(3, refused=False) <= 2.0
    assert backoff_s(20, refused=False) == 2.0
    assert backoff_s(20, refused=True) == 30.0
    assert backoff_s(500, refused=False) == 30.0
