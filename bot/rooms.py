"""The rooms of the configuration, looked at from both sides: name → ids per network, id → name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.config import Config, Room


@dataclass(frozen=True, slots=True)
class Place:
    """One room on one network."""

    connector: str
    room_id: str
    name: str


class Rooms:
    """A room of the configuration may stand on several networks at once: it is one conversation then.

    On the local surface every room exists under its own name.
    """

    def __init__(self, config: Config, connectors: Iterable[str]) -> None:
        self._rooms: Mapping[str, Room] = dict(config.rooms)
        self._places: list[Place] = []
        for name, room in self._rooms.items():
            for connector in connectors:
                room_id = name if connector == "local" else getattr(room, connector, None)
                if room_id:
                    self._places.append(Place(connector, room_id, name))
        self._by_id = {(p.connector, p.room_id): p for p in self._places}

    def __contains__(self, name: str) -> bool:
        return name in self._rooms

    def room(self, name: str) -> Room:
        """The configured room; raises KeyError for an unknown name."""
        return self._rooms[name]

    def place(self, connector: str, room_id: str) -> Place | None:
        """Which configured room this is, or None: then nobody is listened to there."""
        return self._by_id.get((connector, room_id))

    def places(self, name: str) -> list[Place]:
        """The room on every network that has it."""
        return [p for p in self._places if p.name == name]

    def with_mode(self, mode: str) -> str | None:
        """The name of the first room of this mode."""
        return next((name for name, room in self._rooms.items() if room.mode == mode), None)

    def mirror_rooms(self) -> list[tuple[str, str]]:
        """(room name, mirror level) of every room that shows traffic between agents."""
        return [(n, str(r.mirror)) for n, r in self._rooms.items() if r.mirror != "none"]
