"""What commands see: memory while it is young, a new reading after that, and memory again when none comes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from bot import picture
from fleet.model import AgentRow, Readiness, Snapshot

AT = datetime(2026, 3, 1, tzinfo=UTC)


def seen(readiness: Readiness, age_s: float) -> Snapshot:
    return Snapshot(AT, (), (AgentRow("coder0", "here", "ana", "s", True, readiness, evidence_age_s=age_s),))


@dataclass
class Look:
    known: Snapshot | None
    found: Snapshot = field(default_factory=lambda: seen(Readiness.DEAD, 0.0))
    hangs: bool = False
    reads: int = 0

    def latest(self) -> Snapshot | None:
        return self.known

    async def refresh(self) -> Snapshot:
        self.reads += 1
        if self.hangs:
            await asyncio.Event().wait()
        return self.found


async def test_a_young_picture_costs_nothing() -> None:
    look = Look(seen(Readiness.WORKING, 0.4))
    assert await picture.fresh(look.latest, look.refresh) is look.known
    assert look.reads == 0


async def test_an_old_picture_is_read_again_so_that_a_killed_pane_is_dead() -> None:
    look = Look(seen(Readiness.WORKING, 3.0))
    assert (await picture.fresh(look.latest, look.refresh)).agents[0].readiness is Readiness.DEAD


async def test_a_host_that_does_not_answer_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "LOOK_LIMIT_S", 0.05)
    look = Look(seen(Readiness.WORKING, 30.0), hangs=True)
    assert await picture.fresh(look.latest, look.refresh) is look.known


async def test_without_any_picture_it_is_read() -> None:
    look = Look(None)
    assert await picture.fresh(look.latest, look.refresh) is look.found
