"""The shape of a roster file as pydantic models: types and words of each single value.

What needs more than one value (unique names, one orchestrator) is judged in ``rules``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fleet.roster import words


def _one_line(value: str) -> str:
    if any(ord(char) < 32 or 0x7F <= ord(char) <= 0x9F for char in value):
        raise ValueError("holds a line break or a control character; write it on one line")
    return value


def _not_an_option(value: str) -> str:
    if value.startswith("-"):
        raise ValueError("begins with a dash, which a program would read as an option")
    return value


def _name(value: str) -> str:
    if value in words.RESERVED_NAMES:
        raise ValueError(f"`{value}` is taken as an address; choose another name")
    return value


Line = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_one_line)]
Word = Annotated[Line, AfterValidator(_not_an_option)]
Name = Annotated[str, StringConstraints(pattern=f"^{words.NAME.pattern}$"), AfterValidator(_name)]
ClassWord = Annotated[str, StringConstraints(pattern=f"^{words.CLASS.pattern}$")]
SocketName = Annotated[str, StringConstraints(pattern=f"^(?:{words.SOCKET.pattern})?$")]
HostName = Annotated[str, StringConstraints(pattern=f"^{words.HOST.pattern}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TmuxModel(_Model):
    """``socket_name`` has no default: absent is the person's own default tmux socket (ROS-06, ROS-08)."""

    socket_name: SocketName | None = None
    holder_session: Word = words.HOLDER_SESSION


class DefaultsModel(_Model):
    working_directory: Line = words.WORKING_DIRECTORY


class RuntimeModel(_Model):
    reset_command: Line | None = None


class AgentModel(_Model):
    """One agent as written; what is absent stays None, defaults come later."""

    name: Name
    runtime: Literal["claude", "codex", "pi", "opencode", "stub", "custom"]
    agent_class: ClassWord | None = Field(default=None, alias="class")
    alias: Line | None = None
    model_hint: Line | None = None
    host: HostName | None = None
    ssh: Word | None = None
    socket: SocketName | None = None
    working_directory: Line | None = None
    yolo: bool | None = None
    command: Line | None = None
    channels: Line | None = None
    account: Line | None = None
    lifecycle: Literal["core", "ephemeral"] | None = None
    restart: Literal["on-failure", "never"] | None = None
    on_restart: Literal["resume", "fresh"] | None = None
    permissions: Literal["yolo", "chat", "ask"] | None = None
    tenant_id: Word | None = None


class RosterModel(_Model):
    version: Literal[1]
    transport: Literal["tmux"]
    tmux: TmuxModel = TmuxModel()
    defaults: DefaultsModel = DefaultsModel()
    runtimes: dict[str, RuntimeModel] = Field(default_factory=dict)
    tenant_id: Word | None = None
    agents: list[AgentModel]


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file in its snake spelling, for editors."""
    schema = RosterModel.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Mosaic Fleet roster"
    return schema
