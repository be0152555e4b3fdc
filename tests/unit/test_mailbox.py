"""The mailbox folder: once per id, oldest first, results that can be trusted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.messages import mailbox, spool
from fleet.messages.ids import id_of
from fleet.model import Envelope, Receipt

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def envelope(ms: int) -> Envelope:
    return Envelope(id_of(ms, 0), NOW, "t", "h", "h:a", "h:b", "body")


def test_oldest_first_whoever_wrote_first(tmp_path: Path) -> None:
    for ms in (30, 10, 20):
        assert mailbox.put(tmp_path, envelope(ms))
    assert [p.stem for p in mailbox.pending(tmp_path)] == [id_of(ms, 0) for ms in (10, 20, 30)]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("where", ["new", "cur", "dead"])
def test_an_id_is_never_put_twice(tmp_path: Path, where: str) -> None:
    one = envelope(1)
    assert mailbox.put(tmp_path, one)
    path = mailbox.pending(tmp_path)[0]
    if where == "cur":
        mailbox.settle(tmp_path, one.id, Receipt("accepted", "event", 3))
    elif where == "dead":
        spool.bury(tmp_path, path, "no good")
        assert (tmp_path / "dead" / f"{path.name}.reason").read_text() == "no good\n"
    assert not mailbox.put(tmp_path, one)
    assert len(list(tmp_path.glob(f"*/{one.id}.json"))) == 1


def test_held_stays_and_is_replaced_by_the_verdict(tmp_path: Path) -> None:
    one = envelope(1)
    mailbox.put(tmp_path, one)
    assert mailbox.result(tmp_path, one.id) is None
    mailbox.settle(tmp_path, one.id, Receipt("held", "busy", 1))
    assert mailbox.pending(tmp_path)
    assert not mailbox.is_settled(tmp_path, one.id)
    mailbox.mark(tmp_path, one.id, mailbox.Mark("%1", 7, NOW, 12, 2))
    assert mailbox.read_mark(tmp_path, one.id) == mailbox.Mark("%1", 7, NOW, 12, 2)
    mailbox.settle(tmp_path, one.id, Receipt("accepted", "event", 9))
    assert mailbox.result(tmp_path, one.id) == Receipt("accepted", "event", 9)
    assert mailbox.is_settled(tmp_path, one.id)
    assert mailbox.read_mark(tmp_path, one.id) is None
    assert not mailbox.pending(tmp_path)


def test_a_mark_that_cannot_be_read_still_says_that_something_was_begun(tmp_path: Path) -> None:
    one = envelope(1)
    mailbox.put(tmp_path, one)
    (tmp_path / "cur" / f"{one.id}.typing").write_text('{"half')
    found = mailbox.read_mark(tmp_path, one.id)
    assert found is not None
    assert found.offset is None


def test_a_missing_mailbox_is_an_empty_one(tmp_path: Path) -> None:
    assert mailbox.pending(tmp_path / "nobody") == []
