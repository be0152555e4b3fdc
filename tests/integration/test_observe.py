"""The fleet as it is seen on a real tmux server with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.files import try_lock
from fleet.home import Home
from fleet.host import procs
from fleet.host.panes import Listing
from fleet.host.tmux import Paste, Tmux, tmux_env
from fleet.model import AgentDef, AgentRow, Pane, Readiness, Roster, Snapshot
from fleet.observe.snapshot import Observer, observe
from fleet.observe.who import Place, place_call
from fleet.runtimes.recognise import recognise

SOCKET = "fleet-under-test"
DEADLINE_S = 20.0

READER = """
import os, sys, tty
tty.setraw(0)
log = open(sys.argv[1], "ab", buffering=0)
os.write(1, b"\\x1b[?2004hready\\r\\n")
while data := os.read(0, 65536):
    log.write(data)
"""


@dataclass
class World:
    """A home, and tmux servers that live in a folder of their own."""

    home: Home
    folder: Path

    def start(self, session: str, *command: str, socket: str = SOCKET) -> None:
        name = ["-L", socket] if socket else []
        argv = ["tmux", *name, "-f", "/dev/null", "new-session", "-d", "-s", session, "--", *command]
        subprocess.run(argv, env=tmux_env(), check=True, timeout=DEADLINE_S)

    def stub(self, session: str, socket: str = SOCKET) -> None:
        """A program whose file is called `stub-agent` and that waits."""
        self.start(session, sys.executable, str(self.folder / "stub-agent"), socket=socket)

    def beat(self, agent: str, status: str = "ok", age_s: float = 0) -> None:
        ts = datetime.fromtimestamp(time.time() - age_s, UTC).isoformat()
        text = f"ts={ts}\npid=1\nstatus={status}\ninterval=15\n"
        self.home.heartbeat(agent).write_text(text)

    def state(self, agent: str, status: str) -> None:
        body = {"status": status, "ts": datetime.now(UTC).isoformat(), "evidence": "test", "node_start": "n"}
        self.home.state(agent).write_text(json.dumps(body))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="mf-", dir="/tmp"))  # a socket path must be short
    monkeypatch.setenv("TMUX_TMPDIR", str(folder))
    monkeypatch.delenv("TMUX", raising=False)
    (folder / "stub-agent").write_text("import time\nwhile True: time.sleep(60)\n")
    home = Home(tmp_path / "home")
    home.run.mkdir(parents=True)
    yield World(home, folder)
    for socket in (folder / f"tmux-{os.getuid()}").glob("*"):
        done = subprocess.run(
            ["tmux", "-N", "-S", str(socket), "display-message", "-p", "#{pid}"],
            capture_output=True,
            env=tmux_env(),
            timeout=DEADLINE_S,
        )
        if done.returncode == 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(done.stdout), signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def reader(world: World) -> tuple[Tmux, Pane, Path]:
    """A pane whose program writes down every byte that it is given, in raw mode with bracketed paste."""
    log = world.folder / "log"
    log.touch()
    (world.folder / "reader.py").write_text(READER)
    world.start("reader", sys.executable, str(world.folder / "reader.py"), str(log))
    tmux = Tmux(SOCKET)
    assert (await tmux.run("set-option", "-g", "remain-on-exit", "on")).ok
    pane = (await tmux.list_panes()).of_session("reader")
    assert pane is not None

    async def ready() -> bool:
        return "ready" in (await tmux.capture(pane.pane_id) or "")

    await until(ready)
    return tmux, pane, log


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := await check()):
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.05)
    return found


def fleet(*agents: AgentDef, socket: str = SOCKET) -> Roster:
    return Roster(agents=agents, tenant_id="t", socket=socket)


def agent(name: str, runtime: str = "stub", socket: str = SOCKET) -> AgentDef:
    return AgentDef(name=name, runtime=runtime, socket=socket, tenant_id="t")


def row(snapshot: Snapshot, name: str) -> AgentRow:
    return next(r for r in snapshot.agents if r.name == name)


async def test_one_look_joins_panes_processes_and_files(world: World) -> None:
    world.stub("lead")
    world.stub("wrong")
    world.start("_holder", "sleep", "1000")
    world.start("mine", "sleep", "1000")
    world.start("wrapped", "bash", "-c", f"{sys.executable} {world.folder}/stub-agent; true")
    for name in ("lead", "wrong", "wrapped"):
        world.beat(name)
        world.state(name, "idle")
    roster = fleet(agent("lead"), agent("wrong", "pi"), agent("wrapped"), agent("missing"))
    lock = try_lock(world.home.node_lock)
    assert lock is not None

    async def settled() -> Snapshot | None:
        seen = await observe(world.home, roster, host="here")
        return seen if row(seen, "wrapped").runtime_seen == "stub" else None

    seen = await until(settled)
    lead = row(seen, "lead")
    assert (lead.readiness, lead.flags, lead.runtime_seen) == (Readiness.WORKING, (), "stub")
    assert lead.pane_pid is not None
    assert procs.runtime_of(lead.pane_pid, recognise) == "stub"
    assert lead.idle_s is not None
    assert row(seen, "wrong").flags == ("DRIFT",)
    assert row(seen, "wrapped").flags == ()
    assert row(seen, "missing").readiness is Readiness.DEAD
    assert [r.name for r in seen.agents if not r.managed] == ["mine"]
    os.close(lock)


async def test_a_killed_pane_is_dead_in_the_next_look_and_a_stopped_sidecar_is_stale(world: World) -> None:
    world.stub("lead")
    world.stub("other")
    world.beat("lead")
    world.beat("other", age_s=46)
    roster = fleet(agent("lead", "custom"), agent("other", "custom"))
    before = await observe(world.home, roster, host="here")
    assert row(before, "lead").readiness is Readiness.WORKING
    assert row(before, "other").readiness is Readiness.STALE
    pid = row(before, "lead").pane_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    async def gone() -> bool:  # tmux 3.3a now and then forgets to reap what it has already forgotten
        process = procs.read_process(pid)
        return process is None or process.state == "Z"

    await until(gone)
    assert row(await observe(world.home, roster, host="here"), "lead").readiness is Readiness.DEAD


async def test_a_server_that_does_not_answer_is_unreachable_and_never_dead(world: World) -> None:
    world.stub("lead")
    world.beat("lead")
    roster = fleet(agent("lead", "custom"))
    observer = Observer(world.home, lambda: roster, host="here", timeout_s=2)
    assert row(await observer.refresh(), "lead").readiness is Readiness.WORKING
    server = (await Tmux(SOCKET).list_panes()).server_pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    try:
        cold = row(await observe(world.home, roster, host="here", timeout_s=0.5), "lead")
        assert (cold.readiness, cold.pane_alive) == (Readiness.UNKNOWN, None)
        assert "UNREACHABLE" in cold.flags
        kept = row(await observer.refresh(), "lead")
        assert kept.readiness is not Readiness.DEAD
        assert kept.pane_pid is not None
        assert "UNREACHABLE" not in kept.flags  # one failed reading is no verdict
    finally:
        os.kill(server, signal.SIGCONT)
    assert row(await observer.refresh(), "lead").pane_alive is True


async def test_no_server_at_all_is_positive_evidence(world: World) -> None:
    world.beat("lead")
    listing = await Tmux(SOCKET).list_panes()
    assert listing.state is Listing.NO_SERVER
    assert (
        row(await observe(world.home, fleet(agent("lead")), host="here"), "lead").readiness is Readiness.DEAD
    )
    assert not (world.folder / f"tmux-{os.getuid()}").exists() or not list(
        (world.folder / f"tmux-{os.getuid()}").iterdir()
    )  # and looking has not started one


async def test_a_viewer_of_an_agent_is_no_session_of_its_own(world: World) -> None:
    world.stub("lead")
    tmux = Tmux(SOCKET)
    assert (await tmux.run("new-session", "-d", "-t", "=lead", "-s", "anything")).ok
    seen = await observe(world.home, fleet(agent("lead")), host="here")
    assert [r.name for r in seen.agents] == ["lead"]


async def test_a_named_fleet_never_looks_at_the_default_server(world: World) -> None:
    world.start("private", "sleep", "1000", socket="")
    world.stub("lead")
    seen = await observe(world.home, fleet(agent("lead")), host="here")
    assert [r.name for r in seen.agents] == ["lead"]
    own = await observe(world.home, fleet(agent("private", socket=""), socket=""), host="here")
    assert row(own, "private").pane_alive is True


async def test_our_own_pane_does_not_change_which_server_is_meant(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start("elsewhere", "sleep", "1000")
    monkeypatch.setenv("TMUX", f"{world.folder}/tmux-{os.getuid()}/{SOCKET},1,0")
    assert (await Tmux("").list_panes()).state is Listing.NO_SERVER


async def test_the_observer_answers_from_memory_and_follows_the_fleet(world: World) -> None:
    world.stub("lead")
    world.beat("lead")
    rosters = [fleet(agent("lead", "custom"))]
    problems: list[str] = []

    async def current() -> Roster:
        return rosters[0]

    observer = Observer(world.home, current, host="here", on_problem=problems.append)
    assert observer.latest() is None
    assert row(await observer.snapshot(), "lead").pane_alive is True
    task = asyncio.create_task(observer.run(), name="observer")
    with observer.watch():
        assert await Tmux(SOCKET).kill_session("lead")

        async def dead() -> bool:
            picture = observer.latest()
            return picture is not None and row(picture, "lead").readiness is Readiness.DEAD

        await until(dead)
        rosters[0] = fleet(agent("lead"), agent("second"))
        observer.poke()

        async def known() -> bool:
            picture = observer.latest()
            return picture is not None and any(r.name == "second" for r in picture.agents)

        await until(known)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert problems == []


async def test_a_call_is_placed_by_its_ancestors(world: World) -> None:
    tell = world.folder / "pid"
    script = f"sleep 1000 & echo $! > {tell}.new; mv {tell}.new {tell}; wait"
    world.start("lead", "bash", "-c", f"bash -c '{script}'; true")
    roster = fleet(agent("lead"))

    async def written() -> bool:
        return tell.exists()

    await until(written)
    inside = int(tell.read_text())
    assert (await place_call(world.home, roster, pid=inside, host="here")).agent == "lead"
    ours = await place_call(world.home, roster, host="here")
    assert (ours.place, ours.agent) == (Place.OUTSIDE, None)
    env = os.environ | {"MOSAIC_HOME": str(world.home.root), "MOSAIC_AGENT_NAME": "lead"}
    claims = subprocess.Popen(["sleep", "1000"], env=env)
    try:
        placed = await place_call(world.home, roster, pid=claims.pid, host="here")
        assert (placed.place, placed.agent) == (Place.UNVERIFIED, None)
    finally:
        claims.kill()
        claims.wait()
    assert (await place_call(world.home, roster, pid=claims.pid, host="here")).place is Place.UNVERIFIED


async def test_a_paste_arrives_as_written_and_nothing_is_run(reader: tuple[Tmux, Pane, Path]) -> None:
    tmux, pane, log = reader
    text = "$(touch x) `y` #{pid} ; 'q' \"d\" \\n é\ttab\nsecond line;"
    assert (await tmux.paste(pane.pane_id, pane.pid, text, enter=True)).sent
    want = b"\x1b[200~" + text.encode() + b"\x1b[201~\r"

    async def arrived() -> bool:
        return log.read_bytes() == want

    await until(arrived)
    assert (await tmux.run("list-buffers")).text == ""


async def test_copy_mode_is_left_before_the_paste_and_the_enter(reader: tuple[Tmux, Pane, Path]) -> None:
    tmux, pane, log = reader
    assert (await tmux.run("copy-mode", "-t", pane.pane_id)).ok
    listed = (await tmux.list_panes()).by_id(pane.pane_id)
    assert listed is not None
    assert listed.in_mode
    assert (await tmux.paste(pane.pane_id, pane.pid, "hello")).sent
    assert (await tmux.run("copy-mode", "-t", pane.pane_id)).ok
    assert (await tmux.enter(pane.pane_id, pane.pid)).sent

    async def arrived() -> bool:
        return log.read_bytes() == b"\x1b[200~hello\x1b[201~\r"

    await until(arrived)


async def test_a_paste_to_the_wrong_a_dead_or_no_pane_is_refused(reader: tuple[Tmux, Pane, Path]) -> None:
    tmux, pane, log = reader
    assert (await tmux.paste(pane.pane_id, pane.pid + 1, "x")).status is Paste.GONE
    assert (await tmux.paste("%987", pane.pid, "x")).status is Paste.GONE
    assert (await tmux.paste(pane.pane_id, pane.pid, "x\x1b[201~y")).status is Paste.UNCLEAN
    assert (await tmux.paste(pane.pane_id, pane.pid, "")).status is Paste.UNCLEAN
    os.kill(pane.pid, signal.SIGKILL)

    async def died() -> bool:
        listed = (await tmux.list_panes()).by_id(pane.pane_id)
        return listed is not None and listed.dead

    await until(died)
    assert (await tmux.paste(pane.pane_id, pane.pid, "x", enter=True)).status is Paste.DEAD
    assert (await tmux.enter(pane.pane_id, pane.pid)).status is Paste.DEAD
    assert (await tmux.list_panes()).state is Listing.OK  # tmux 3.3a would have died of an unguarded paste
    assert (await tmux.run("list-buffers")).text == ""
    assert log.read_bytes() == b""
    with pytest.raises(ValueError, match="pane id"):
        await tmux.paste("reader", pane.pid, "x")
    with pytest.raises(ValueError, match="key"):
        await tmux.press(pane.pane_id, pane.pid, "rm -rf")


async def test_sessions_are_named_exactly_and_the_default_server_cannot_be_ended(world: World) -> None:
    world.stub("coder10")
    tmux = Tmux(SOCKET)
    assert await tmux.has_session("coder1") is False
    assert await tmux.kill_session("coder1")  # there is none: nothing to do
    assert await tmux.has_session("coder10") is True
    with pytest.raises(ValueError, match="empty"):
        await tmux.kill_session("")
    with pytest.raises(ValueError, match="default"):
        await Tmux("").kill_server()
    with pytest.raises(ValueError, match="default"):
        await Tmux("").run("kill-server")
    assert await tmux.kill_server()

    async def ended() -> bool:  # while it still closes, tmux says neither yes nor no
        return await tmux.has_session("coder10") is False

    await until(ended)
