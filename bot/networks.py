"""The networks of the configuration as connectors, and the first contact with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from fleet.register import inbox

if TYPE_CHECKING:
    from bot.config import Config
    from connectors.protocol import Connector
    from fleet.home import Home
    from fleet.register.engine import Register, Tx


class FirstContactError(Exception):
    """A network that never worked with this configuration does not answer: the text says the mend."""


def build_connectors(config: Config, home: Home, now: Callable[[], datetime]) -> dict[str, Connector]:
    """Every configured network by name. Raises ConfigError for a secret that cannot be read."""
    built: dict[str, Connector] = {}
    if config.connectors.matrix is not None:
        from connectors.matrix.connector import MatrixConnector

        matrix = config.connectors.matrix
        listed = config.access
        built["matrix"] = MatrixConnector(
            homeserver=matrix.homeserver,
            user_id=matrix.user_id,
            password=matrix.password(),
            token=matrix.token(),
            store=home.bot / "matrix",
            rooms=frozenset(r.matrix for r in config.rooms.values() if r.matrix),
            allowed_inviters=frozenset((*listed.operator.matrix, *listed.admin.matrix)),
            clock=now,
        )
    if config.connectors.local.enabled:
        from connectors.local.connector import LocalConnector

        built["local"] = LocalConnector(home.bot / "local", rooms=tuple(config.rooms), clock=now)
    return built


async def first_contact(register: Register, config: Config, connectors: Mapping[str, Connector]) -> None:
    """Refuse to start with a Matrix configuration that never worked and does not now.

    A homeserver that was reached before may be away: then the bot starts, and messages queue. Raises
    FirstContactError.
    """
    matrix = connectors.get("matrix")
    settings = config.connectors.matrix
    if matrix is None or settings is None:
        return
    identity = f"{settings.homeserver} {settings.user_id}"
    known = await inbox.get_cursor(register, "matrix", "identity")
    if known == identity:
        return
    problem = await matrix.probe()
    if problem is not None:
        await matrix.stop()
        raise FirstContactError(problem)

    def remember(tx: Tx) -> None:
        inbox.set_cursor(tx, "matrix", "identity", identity)
        if known is not None:
            inbox.set_cursor(tx, "matrix", "cursor", "")

    await register.write(remember)
