"""The thin edge to one tmux server: list, look, paste, press a key. Judgement lives elsewhere.

No call here can start a server (`-N`), and none follows `$TMUX`: the empty socket name is the default
socket even when we run inside a pane of another server.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fleet.host.panes import LIST_FORMAT, Listing, PaneListing, parse_panes, says_no_server
from fleet.host.process import Finished, run_program

__all__ = ["Listing", "PaneListing", "Paste", "PasteOutcome", "Tmux", "socket_args", "tmux_env"]

_PANE_ID = re.compile(r"%\d+")
_KEYS = frozenset(
    {"Enter", "Escape", "C-c", "C-u", "C-d", "Up", "Down", "Tab", "BSpace", "y", "n", "1", "2", "3"}
)
# C0 except TAB and LF, DEL, C1: inside a paste these could end the brackets or press keys of their own.
_UNCLEAN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Paste(StrEnum):
    SENT = "sent"  # written to the pane's terminal; whether the program took it needs a proof of its own
    GONE = "gone"  # no such pane, or another process in it now, or no server
    DEAD = "dead"  # the pane's program has ended (remain-on-exit)
    MODE = "mode"  # copy mode could not be left
    UNCLEAN = "unclean"  # empty, or control characters in it: nothing was sent
    FAILED = "failed"  # tmux did not answer: it is not known whether anything was sent


@dataclass(frozen=True, slots=True)
class PasteOutcome:
    status: Paste
    detail: str = ""

    @property
    def sent(self) -> bool:
        return self.status is Paste.SENT


def socket_args(socket: str) -> list[str]:
    """`-L NAME`, or nothing for the default socket (ROS-09)."""
    return ["-L", socket] if socket else []


def tmux_env() -> dict[str, str]:
    """Our environment without the pane we may sit in, and in UTF-8: a C locale turns TAB into `_`."""
    env = {key: value for key, value in os.environ.items() if key not in {"TMUX", "TMUX_PANE"}}
    env["LC_ALL"] = "C.UTF-8"
    return env


class Tmux:
    """One tmux server, named by its socket (empty: the default socket). Holds nothing between calls.

    ``clock`` gives the time as Unix seconds, ``unique`` a fresh word for buffer names. Every call ends
    within ``timeout_s`` seconds.
    """

    def __init__(
        self,
        socket: str = "",
        *,
        clock: Callable[[], float] = time.time,
        unique: Callable[[], str] = lambda: secrets.token_hex(8),
        timeout_s: float = 5.0,
    ) -> None:
        self.socket = socket
        self._clock = clock
        self._unique = unique
        self._timeout_s = timeout_s

    async def run(
        self,
        *args: str,
        input: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Finished:
        """One tmux client with these arguments. Raises ValueError for `kill-server` on the default socket."""
        if not self.socket and "kill-server" in args:
            raise ValueError("kill-server is never sent to the default tmux socket")
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        argv = ("tmux", "-N", *socket_args(self.socket), *args)
        return await run_program(*argv, input=input, timeout_s=limit_s, env=tmux_env())

    async def list_panes(self) -> PaneListing:
        """Every pane of the server in one call."""
        done = await self.run("list-panes", "-a", "-F", LIST_FORMAT)
        if done.ok:
            panes, server_pid = parse_panes(done.out, self._clock())
            return PaneListing(self.socket, Listing.OK, panes, server_pid=server_pid)
        state = Listing.NO_SERVER if done.problem is None and says_no_server(done.error) else Listing.FAILED
        return PaneListing(self.socket, state, problem=done.error)

    async def has_session(self, name: str) -> bool | None:
        """Whether a session of exactly this name lives; None when tmux could not be asked."""
        done = await self.run("has-session", "-t", f"={name}")
        if done.ok:
            return True
        if done.problem is None and ("can't find session" in done.error or says_no_server(done.error)):
            return False
        return None

    async def capture(self, pane_id: str, *, history: int = 0, join: bool = False) -> str | None:
        """The pane's visible screen, with ``history`` lines from above it; trailing blanks are tmux's way.

        ``join`` puts wrapped lines together. None when there is no such pane or tmux did not answer.
        """
        args = ["capture-pane", "-p", "-t", _checked(pane_id)]
        if history > 0:
            args += ["-S", f"-{history}"]
        if join:
            args.append("-J")
        done = await self.run(*args)
        return done.text if done.ok else None

    async def kill_session(self, name: str) -> bool:
        """End exactly this session (no prefix matching). True also when there was none; False when tmux
        could not be asked. Raises ValueError for an empty name."""
        if not name:
            raise ValueError("an empty session name")
        done = await self.run("kill-session", "-t", f"={name}")
        if done.ok:
            return True
        return done.problem is None and ("can't find session" in done.error or says_no_server(done.error))

    async def kill_server(self) -> bool:
        """End the whole server of a named socket. Raises ValueError for the default socket."""
        done = await self.run("kill-server")
        return done.ok or (done.problem is None and says_no_server(done.error))

    async def paste(self, pane_id: str, pane_pid: int, text: str, *, enter: bool = False) -> PasteOutcome:
        """Put ``text`` into the pane as one paste, and press Enter after it if asked.

        All guards are judged by the server in the same invocation: the pane must still be the process
        ``pane_pid``, alive and not in copy mode (which is left first; a person scrolls back again). tmux
        3.3a would die of a paste into a dead pane. The buffer has a name of its own and is gone after.
        """
        target = _checked(pane_id)
        if not text or _UNCLEAN.search(text):
            return PasteOutcome(Paste.UNCLEAN, "empty" if not text else "control characters")
        name = f"mf-{self._unique()}"
        send = f"paste-buffer -dpr -b {name} -t {target}"
        send += f" ; send-keys -t {target} Enter" if enter else ""
        done = await self.run(
            *("load-buffer", "-b", name, "-", ";"),
            *_leave_mode(target, pane_pid),
            *("if-shell", "-F", "-t", target, _alive(pane_pid)),
            f"{send} ; display-message -p SENT",
            f"delete-buffer -b {name} ; {_refusal(target)}",
            input=text.encode("utf-8", "replace"),
        )
        outcome = _outcome(done, pane_pid)
        if outcome.status is Paste.FAILED:
            await self.run("delete-buffer", "-b", name, timeout_s=1.0)  # else the text stays in the server
        return outcome

    async def enter(self, pane_id: str, pane_pid: int) -> PasteOutcome:
        """Press Enter in the pane, under the same guards as a paste."""
        return await self.press(pane_id, pane_pid, "Enter")

    async def press(self, pane_id: str, pane_pid: int, *keys: str) -> PasteOutcome:
        """Press named keys (Enter, Escape, C-c, …), guarded. Raises ValueError for a key that is not one
        of the few a fleet needs: text goes by :meth:`paste`."""
        if not keys or not _KEYS.issuperset(keys):
            raise ValueError(f"not a key of the fleet: {keys}")
        target = _checked(pane_id)
        done = await self.run(
            *_leave_mode(target, pane_pid),
            *("if-shell", "-F", "-t", target, _alive(pane_pid)),
            f"send-keys -t {target} {' '.join(keys)} ; display-message -p SENT",
            _refusal(target),
        )
        return _outcome(done, pane_pid)


def _checked(pane_id: str) -> str:
    if not _PANE_ID.fullmatch(pane_id):
        raise ValueError(f"not a pane id: {pane_id!r}")
    return pane_id


def _leave_mode(target: str, pane_pid: int) -> tuple[str, ...]:
    ours = f"#{{&&:#{{pane_in_mode}},#{{==:#{{pane_pid}},{int(pane_pid)}}}}}"
    return ("if-shell", "-F", "-t", target, ours, f"send-keys -t {target} -X cancel", ";")


def _alive(pane_pid: int) -> str:
    fit = "#{&&:#{?pane_dead,0,1},#{?pane_in_mode,0,1}}"
    return f"#{{&&:{fit},#{{==:#{{pane_pid}},{int(pane_pid)}}}}}"


def _refusal(target: str) -> str:
    return f"display-message -p -t {target} 'REFUSED #{{pane_pid}} #{{pane_dead}} #{{pane_in_mode}}'"


def _outcome(done: Finished, pane_pid: int) -> PasteOutcome:
    said = done.text.strip()
    if said.startswith("SENT"):
        return PasteOutcome(Paste.SENT)
    if said.startswith("REFUSED"):
        pid, dead, mode = [*said.split(" ")[1:], "", "", ""][:3]
        if pid != str(pane_pid):
            return PasteOutcome(Paste.GONE, f"pane process is {pid or 'none'}")
        return PasteOutcome(Paste.DEAD if dead == "1" else Paste.MODE, f"dead={dead} mode={mode}")
    if done.problem is None and ("can't find" in done.error or says_no_server(done.error)):
        return PasteOutcome(Paste.GONE, done.error)
    return PasteOutcome(Paste.FAILED, done.error)
