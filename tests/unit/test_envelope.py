"""Envelope files: what is written is read back; what is not an envelope says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.messages.envelope import BODY_LIMIT_BYTES, EnvelopeError, decode, encode
from fleet.messages.ids import Ids, id_of, is_id, new_id
from fleet.model import Attachment, Envelope, MessageClass

LABEL = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(
    body=st.text(st.characters(exclude_categories=("Cs",)), max_size=400),
    src=LABEL,
    dst=LABEL,
    cls=st.sampled_from([None, *MessageClass]),
    ms=st.integers(0, 4_000_000_000_000),
    token=st.none() | st.just("abcdefghijkl.7"),
    flags=st.tuples(st.booleans(), st.booleans(), st.none() | st.booleans()),
)
def test_round_trip(
    body: str, src: str, dst: str, cls: MessageClass | None, ms: int, token: str | None, flags: Any
) -> None:
    envelope = Envelope(
        id=id_of(ms, 5),
        ts=datetime.fromtimestamp(ms / 1000, UTC),
        tenant_id="acme",
        host="here",
        src=src,
        dst=dst,
        body=body,
        message_class=cls,
        token=token,
        mirror=flags[0],
        now=flags[1],
        verified=flags[2],
        attachments=(Attachment("a.png", "/tmp/a.png", "image/png", 3),),
        data={"tokens": ["x"], "n": None},
    )
    assert decode(encode(envelope)) == envelope


def raw(**changes: Any) -> bytes:
    fields = {"v": 1, "id": new_id(), "ts": "2026-01-02T03:04:05Z", "src": "h:a", "dst": "h:b"} | changes
    return json.dumps(fields).encode()


def test_absent_keys_have_defaults_and_unknown_ones_are_left_aside() -> None:
    envelope = decode(raw(surprise=1))
    assert (envelope.body, envelope.kind, envelope.message_class, envelope.mirror) == (
        "",
        "message",
        None,
        False,
    )


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "JSON"),
        (raw(v=2), "v is 2"),
        (raw(id="../../etc/passwd"), "ULID"),
        (raw(ts="yesterday"), "ts"),
        (raw(ts="2026-01-02T03:04:05"), "time zone"),
        (raw(src=None), "src is missing"),
        (raw(dst="a\nb"), "control"),
        (raw(**{"class": "loud"}), "class"),
        (raw(body_b64="%%%"), "base64"),
        (raw(now="yes"), "now"),
        (raw(data=[]), "data"),
        (raw(attachments=[{"name": "x", "path": 3}]), "path"),
    ],
)
def test_what_is_no_envelope_says_why(data: bytes, word: str) -> None:
    with pytest.raises(EnvelopeError, match=word):
        decode(data)


def test_too_large_is_refused_by_the_writer() -> None:
    envelope = decode(raw())
    large = Envelope(
        **{f: getattr(envelope, f) for f in envelope.__slots__} | {"body": "x" * (BODY_LIMIT_BYTES + 1)}
    )
    with pytest.raises(EnvelopeError, match="file path"):
        encode(large)


def test_ids_sort_as_they_were_made_even_when_the_clock_stands_or_runs_back() -> None:
    times = iter([5, 5, 5, 3, 6])
    ids = Ids(clock_ms=lambda: next(times), random_bits=lambda: 2**79 - 1)
    made = [ids() for _ in range(5)]
    assert made == sorted(set(made))
    assert all(is_id(one) for one in made)
