"""Processes as /proc tells them: who is below a pane, who is above a call. Reading never raises.

These are plain blocking reads of memory files; callers in an event loop use ``asyncio.to_thread``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Recognise = Callable[[list[str], str | None, str | None], str | None]

_PROC = Path("/proc")
TREE_LIMIT = 200  # processes below one pane that are looked at; a build may have thousands
DEPTH_LIMIT = 12


@dataclass(frozen=True, slots=True)
class Process:
    """``start_ticks`` (clock ticks since boot) with the pid names a process for good: pids are reused.
    ``foreground`` is the process group that its terminal listens to, -1 without a terminal."""

    pid: int
    ppid: int
    comm: str
    state: str
    start_ticks: int
    group: int
    foreground: int


def read_process(pid: int) -> Process | None:
    """That process, or None when it is gone or cannot be read."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_bytes())
    except OSError:
        return None


def parse_stat(data: bytes) -> Process | None:
    """One line of /proc/PID/stat. The name stands in parentheses and may hold any byte, also `)` and
    blanks, so the fields begin after the last one."""
    opened, closed = data.find(b"("), data.rfind(b")")
    fields = data[closed + 1 :].split()
    if opened < 0 or closed < opened or len(fields) < 20:
        return None
    try:
        return Process(
            pid=int(data[:opened]),
            ppid=int(fields[1]),
            comm=data[opened + 1 : closed].decode("utf-8", "replace"),
            state=fields[0].decode(),
            start_ticks=int(fields[19]),
            group=int(fields[2]),
            foreground=int(fields[5]),
        )
    except ValueError:
        return None


def children(pid: int) -> list[int]:
    """The direct children of all threads of ``pid``, oldest first as the kernel lists them."""
    found: list[int] = []
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return found
    for thread in threads:
        try:
            found += [int(word) for word in (thread / "children").read_text().split()]
        except (OSError, ValueError):
            continue
    return found


def tree(root: int) -> Iterator[Process]:
    """``root`` and what is below it, level by level, within limits."""
    level = [root]
    seen: set[int] = set()
    for _ in range(DEPTH_LIMIT):
        below: list[int] = []
        for pid in level:
            if pid in seen or len(seen) >= TREE_LIMIT:
                continue
            seen.add(pid)
            process = read_process(pid)
            if process is None:
                continue
            yield process
            below += children(pid)
        if not below:
            return
        level = below


def argv_of(pid: int) -> list[str]:
    """The command line; empty when gone, a kernel thread or not ours to read."""
    try:
        data = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [word.decode("utf-8", "replace") for word in data.rstrip(b"\0").split(b"\0")] if data else []


def environ_of(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it is gone or not ours to read."""
    try:
        data = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (word.decode("utf-8", "replace").partition("=") for word in data.split(b"\0"))
    return {key: value for key, equals, value in pairs if equals}


def exe_of(pid: int) -> str | None:
    """The program file, or None when it cannot be read."""
    try:
        return str((_PROC / str(pid) / "exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None


def runtime_of(root: int, recognise: Recognise) -> str | None:
    """The first word that ``recognise(argv, exe, comm)`` knows in the tree below ``root``; else None.

    The nearest to the pane wins, so a program that an agent started as a tool is not taken for the agent.
    """
    found = find_program(root, recognise)
    return found[0] if found else None


def find_program(root: int, recognise: Recognise) -> tuple[str, Process] | None:
    for process in tree(root):
        if process.state == "Z":
            continue
        word = recognise(argv_of(process.pid), exe_of(process.pid), process.comm)
        if word:
            return word, process
    return None


def foreground_command(root: int) -> str | None:
    """The name of the process that the terminal of ``root`` listens to; None when it cannot be told."""
    top = read_process(root)
    if top is None or top.foreground <= 0:
        return None
    leader = read_process(top.foreground)
    return leader.comm if leader else None


def ancestry(pid: int) -> list[Process] | None:
    """``pid`` and its parents up to process 1; None when the chain cannot be read to its end."""
    chain: list[Process] = []
    while pid > 0:
        process = read_process(pid)
        if process is None or len(chain) > 128:
            return None
        chain.append(process)
        pid = process.ppid
    return chain


def cgroup_of(pid: int) -> str:
    """The control group lines of a process (unit names stand in them); empty when not readable."""
    try:
        return (_PROC / str(pid) / "cgroup").read_text("utf-8", "replace")
    except OSError:
        return ""
