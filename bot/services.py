"""What the running bot offers to commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from connectors.protocol import Status
from fleet.register import outbox

if TYPE_CHECKING:
    from bot.config import Config
    from bot.escalations import Escalations
    from bot.reports.service import Reports
    from bot.schedule import Schedules
    from connectors.protocol import Connector
    from fleet.register.engine import Register


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    name: str
    status: Status


@dataclass(frozen=True, slots=True)
class Services:
    """Built once by `bot.app`; a command takes what it needs."""

    config: Config
    register: Register
    connectors: Mapping[str, Connector]
    escalations: Escalations
    reports: Reports
    schedule: Schedules
    started_at: datetime
    woke: Callable[[], None]

    def status(self) -> list[ConnectorStatus]:
        """The state of every network, each with since when."""
        return [ConnectorStatus(name, c.status) for name, c in self.connectors.items()]

    async def outbox_backlog(self) -> dict[str, int]:
        """Posts that wait, by network."""
        return await outbox.backlog(self.register)
