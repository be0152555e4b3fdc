"""What one `list-panes -a` says: its format, its parser, its idle rule. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from fleet.model import Pane

# TAB cannot stand in a session name or a number. The running command is the one free text (it is the
# program's own argv[0], with any byte in it), so it comes last, with its length in bytes before it.
_FIELDS = (
    "pane_id",
    "session_name",
    "pane_pid",
    "pane_dead",
    "pane_in_mode",
    "pane_activity",
    "window_activity",
    "session_activity",
    "start_time",
    "pid",
)
LIST_FORMAT = "\t".join(f"#{{{name}}}" for name in _FIELDS)
LIST_FORMAT += "\t#{n:pane_current_command}:#{pane_current_command}"

_ROW_START = re.compile(rb"\n(?=%\d+\t)")
_NO_SERVER = re.compile(r"no server running on |error connecting to .*\((No such file|Connection refused)")


class Listing(StrEnum):
    OK = "ok"
    NO_SERVER = "no-server"  # positive evidence: nobody listens on that socket
    FAILED = "failed"  # nothing is known


@dataclass(frozen=True, slots=True)
class PaneListing:
    """All panes of one tmux server, in the order of session, window, pane; or why there are none."""

    socket: str
    state: Listing
    panes: tuple[Pane, ...] = ()
    problem: str | None = None
    server_pid: int | None = None
    _first: dict[str, Pane] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for pane in self.panes:
            self._first.setdefault(pane.session, pane)

    def of_session(self, session: str) -> Pane | None:
        """The first pane of exactly that session: the agent's, as `=session:0.0` names it."""
        return self._first.get(session)

    def by_id(self, pane_id: str) -> Pane | None:
        return next((pane for pane in self.panes if pane.pane_id == pane_id), None)

    @property
    def sessions(self) -> tuple[str, ...]:
        return tuple(self._first)


def says_no_server(error: str) -> bool:
    """Whether tmux's complaint means that no server lives on the socket (and not that we could not look)."""
    return bool(_NO_SERVER.search(error))


def idle_from(
    pane_activity: str, window_activity: str, session_activity: str, now_s: float
) -> tuple[float | None, str | None]:
    """Seconds since the last activity and which of the three fields said so: the first positive one, the
    most precise first (RDY-12). Times in the future count as now (RDY-14)."""
    named = (("pane", pane_activity), ("window", window_activity), ("session", session_activity))
    for source, text in named:
        if text.isascii() and text.isdigit() and int(text) > 0:
            return max(0.0, now_s - int(text)), source
    return None, None


def parse_panes(data: bytes, now_s: float) -> tuple[tuple[Pane, ...], int | None]:
    """The panes in tmux's answer to LIST_FORMAT, and the server's pid. Rows it cannot read are left out."""
    panes: list[Pane] = []
    server_pid: int | None = None
    at = 0
    while at < len(data):
        fields, at = _row(data, at)
        if fields is None:
            continue
        pane = _pane(fields, now_s)
        if pane is not None:
            panes.append(pane)
            server_pid = _number(fields[len(_FIELDS) - 1]) or server_pid
    return tuple(panes), server_pid


def _row(data: bytes, at: int) -> tuple[list[str] | None, int]:
    """The fields of the row that begins at ``at`` (command last), and where the next row begins."""
    start = at
    fields: list[str] = []
    for _ in _FIELDS:
        end = data.find(b"\t", at)
        if end < 0 or b"\n" in data[at:end]:  # none of these fields can hold one: the row is cut
            return None, _next_row(data, start)
        fields.append(data[at:end].decode("utf-8", "replace"))
        at = end + 1
    colon = data.find(b":", at)
    length = data[at:colon]
    if colon < 0 or not length.isdigit():
        return None, _next_row(data, at)
    end = colon + 1 + int(length)
    if data[end : end + 1] not in {b"\n", b""}:  # a tmux that rewrites control bytes: its length lies
        follow = _next_row(data, colon)
        return [*fields, data[colon + 1 : follow].decode("utf-8", "replace").rstrip("\n")], follow
    return [*fields, data[colon + 1 : end].decode("utf-8", "replace")], end + 1


def _next_row(data: bytes, at: int) -> int:
    found = _ROW_START.search(data, at)
    return found.end() if found else len(data)


def _pane(fields: list[str], now_s: float) -> Pane | None:
    pane_id, session, pid, dead, in_mode, active, window, attached, start, _server, command = fields
    number = _number(pid)
    if not re.fullmatch(r"%\d+", pane_id) or number is None:
        return None
    idle_s, source = idle_from(active, window, attached, now_s)
    return Pane(
        session=session,
        pane_id=pane_id,
        pid=number,
        dead=dead == "1",
        in_mode=in_mode not in {"", "0"},
        command=_printable(command) or None,
        idle_s=idle_s,
        server_start=_number(start),
        idle_source=source,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:64]
