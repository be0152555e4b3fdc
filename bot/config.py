"""The configuration of the bot, typed: `$H/bot/config.yaml` (keys: docs, config.example.yaml).

Secrets stand in files or in the environment (`${NAME}`); they are read when a connector asks for them and are
never part of a value that is printed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bot.config_connectors import Connectors, Matrix, Part, matrix_id
from bot.config_words import ConfigError, expand, no_secret, paragraph_of, read_yaml

__all__ = ["Access", "Config", "ConfigError", "Listed", "Matrix", "Room", "Schedule", "load_config"]

REPORTS = ("readiness",)  # what this version can post
_ROOM_NAME = re.compile(r"[a-z][a-z_-]{0,39}")
_RESERVED_ROOMS = frozenset({"chat", "task", "operator"})


class Room(Part):
    """One room, on any number of networks. ``answers`` says what counts as an agent's answer there."""

    mode: Literal["ops", "conversation", "log", "reports"]
    matrix: str | None = None
    discord: str | None = None
    mirror: Literal["none", "summary", "all"] = "none"
    answers: Literal["tool", "transcript", "either"] = "either"

    @field_validator("matrix")
    @classmethod
    def _internal_id(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("!"):
            raise ValueError(
                f"`{value}` is not a room's internal id. It begins with `!`: "
                "in Element it stands under Room settings, Advanced."
            )
        return value


class Listed(Part):
    """Exact ids of one role. An empty list is nobody."""

    matrix: tuple[str, ...] = ()
    discord_users: tuple[str, ...] = ()
    discord_roles: tuple[str, ...] = ()

    @field_validator("matrix")
    @classmethod
    def _exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(matrix_id(one) for one in value)

    def ids(self, connector: str) -> tuple[str, ...]:
        """The person ids of that network."""
        return {"matrix": self.matrix, "discord": self.discord_users}.get(connector, ())


class Access(Part):
    """Who may do what. Only this file, so only the terminal, changes it."""

    viewer: Listed = Listed()
    operator: Listed = Listed()
    admin: Listed = Listed()
    may_edit_commands: tuple[str, ...] = ()
    confirm_terminal_changes: bool = False

    def on_call(self, connector: str) -> tuple[str, ...]:
        """The ids that an escalation pings on that network: operators and admins, each once."""
        return tuple(dict.fromkeys((*self.operator.ids(connector), *self.admin.ids(connector))))


class Schedule(Part):
    """When a report is posted where: a cron line, or every so many seconds, in a time zone."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    report: str
    room: str
    cron: str | None = None
    every_s: Annotated[float, Field(gt=0)] | None = None
    tz: str | None = None

    @field_validator("report")
    @classmethod
    def _built(cls, value: str) -> str:
        if value in {"budget", "spend"}:
            raise ValueError(f"`{value}` comes with the budget, which this version has not. Use `readiness`.")
        if value not in REPORTS:
            raise ValueError(f"`{value}` is no report. Known: {', '.join(REPORTS)}.")
        return value

    @field_validator("cron")
    @classmethod
    def _five(cls, value: str | None) -> str | None:
        if value is not None and len(value.split()) != 5:
            raise ValueError(
                f"`{value}` has not five fields. Like `0 9 * * mon-fri`: minute hour day month weekday."
            )
        return value

    @field_validator("tz")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return value if value is None or ZoneInfo(value) else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`{value}` is no time zone. Write it like `Europe/Berlin`.") from None

    @model_validator(mode="after")
    def _when(self) -> Schedule:
        if (self.cron is None) == (self.every_s is None):
            raise ValueError("needs exactly one of `cron:` and `every_s:`.")
        return self


class Http(Part):
    listen: str = "127.0.0.1:0"

    @field_validator("listen")
    @classmethod
    def _loopback(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"`{value}` is no `host:port`. Port 0 picks a free one: `127.0.0.1:0`.")
        if host.strip("[]") not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError(f"`{host}` is not loopback. This version listens on 127.0.0.1 only.")
        return value


class Launch(Part):
    required_mcp: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Config(Part):
    """The whole file. ``budget``, ``retention`` and ``alarm`` are accepted and have no effect yet."""

    prefix: Annotated[str, Field(min_length=1, max_length=8, pattern=r"^\S+$")] = "!"
    connectors: Connectors = Connectors()
    rooms: dict[str, Room] = Field(default_factory=dict)
    access: Access = Access()
    schedules: tuple[Schedule, ...] = ()
    http: Http = Http()
    supervisor: Literal["systemd", "none"] = "systemd"
    launch: Launch = Launch()
    budget: dict[str, Any] = Field(default_factory=dict)
    retention: dict[str, Any] = Field(default_factory=dict)
    alarm: dict[str, Any] = Field(default_factory=dict)
    watchdog_url: str | None = None

    @property
    def http_listen(self) -> str:
        return self.http.listen

    @field_validator("rooms")
    @classmethod
    def _names(cls, rooms: dict[str, Room]) -> dict[str, Room]:
        seen: dict[str, str] = {}
        for name, room in rooms.items():
            if not _ROOM_NAME.fullmatch(name) or name in _RESERVED_ROOMS:
                raise ValueError(
                    f"`{name}` cannot name a room. Small letters, `-` and `_`, no digits; "
                    f"not {', '.join(sorted(_RESERVED_ROOMS))}."
                )
            for there in filter(None, (room.matrix, room.discord)):
                if there in seen:
                    raise ValueError(
                        f"`{seen[there]}` and `{name}` are the same room {there}. Keep one of them."
                    )
                seen[there] = name
        return rooms

    @model_validator(mode="after")
    def _whole(self) -> Config:
        ids = [one.id for one in self.schedules]
        for one in self.schedules:
            if one.room not in self.rooms:
                known = ", ".join(self.rooms) or "none yet"
                raise ValueError(
                    f"schedule `{one.id}` posts to `{one.room}`, which is no room. Rooms: {known}."
                )
            if ids.count(one.id) > 1:
                raise ValueError(f"two schedules are called `{one.id}`. Give each its own id.")
        return self

    def notes(self) -> list[str]:
        """What is allowed but worth a word, for `config check`."""
        said = [
            f"{key}: read, without effect in this version"
            for key in ("budget", "retention", "alarm")
            if getattr(self, key)
        ]
        idle = {
            "access.confirm_terminal_changes": self.access.confirm_terminal_changes,
            "access.may_edit_commands": self.access.may_edit_commands,
            "launch.required_mcp": self.launch.required_mcp,
            "watchdog_url": self.watchdog_url,
        }
        said += [f"{key}: read, without effect in this version" for key, value in idle.items() if value]
        if not (self.connectors.matrix or self.connectors.local.enabled):
            said.append("connectors: none is on, so nobody can reach the bot")
        if self.rooms and not any(room.mode == "ops" for room in self.rooms.values()):
            said.append("rooms: none has mode ops, so escalations go to a conversation room")
        if self.connectors.matrix and not self.access.on_call("matrix"):
            said.append("access: no operator and no admin on Matrix, so nobody there can talk to agents")
        return said

    def effective(self) -> dict[str, Any]:
        """Every value in force, defaults included, secrets hidden; JSON-able."""
        shown: dict[str, Any] = no_secret(self.model_dump(mode="json", by_alias=True))
        return shown


def load_config(path: Path, env: Mapping[str, str] | None = None) -> Config:
    """Read and check the file. Raises ConfigError: one paragraph with file, key and mend for each mistake.

    ``${NAME}`` in any value is taken from ``env`` (default: the environment). Relative paths of secret files
    are relative to the folder of the file.
    """
    parsed = read_yaml(path)
    values = expand(parsed.values, os.environ if env is None else env, path, parsed)
    try:
        config = Config.model_validate(values)
    except ValidationError as bad:
        raise ConfigError(paragraph_of(path, bad, parsed, Config)) from None
    matrix = config.connectors.matrix
    if matrix is None:
        return config
    files = {key: _beside(path, getattr(matrix, key)) for key in ("password_file", "token_file")}
    connectors = config.connectors.model_copy(update={"matrix": matrix.model_copy(update=files)})
    return config.model_copy(update={"connectors": connectors})


def refuse_unbuilt(config: Config, path: Path) -> None:
    """Raises ConfigError for what the file may say but this version cannot do at a start."""
    if config.connectors.discord is not None:
        raise ConfigError(
            f"The configuration {path} cannot be used: connectors.discord: Discord is not in this version. "
            "Take that section out; Matrix and the local surface work."
        )


def _beside(path: Path, file: Path | None) -> Path | None:
    return None if file is None else path.absolute().parent / file.expanduser()
