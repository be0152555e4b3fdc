"""The composition root of the bot: builds, starts and stops everything in one task group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson
import structlog
from ulid import ULID

from bot import logs
from bot.agents import Agents
from bot.answers import Answers
from bot.commands.audit_late import chain_late
from bot.commands.context import Caller
from bot.commands.dispatch import Dispatcher
from bot.escalations import Escalations
from bot.health import Health
from bot.inbound import listen
from bot.inbox import InboxWorker
from bot.intake import Intake
from bot.mail import Mail
from bot.networks import build_connectors, first_contact
from bot.outbox import Sender
from bot.people import People
from bot.picture import fresh
from bot.posts import Posts, plain
from bot.relay import Relay
from bot.reports.service import Reports
from bot.roles import Role
from bot.rooms import Rooms
from bot.roster_source import RosterSource
from bot.schedule import Schedules
from bot.services import Services
from bot.socket import BotSocket
from connectors.local.connector import LocalConnector
from fleet.files import write_atomic
from fleet.host.systemd import tell_systemd
from fleet.launch.node_process import watch_node
from fleet.observe.snapshot import Observer, utc_now
from fleet.observe.who import Place
from fleet.register.engine import Register
from fleet.register.lock import take_register_lock

if TYPE_CHECKING:
    from bot.config import Config
    from bot.document import Document
    from connectors.protocol import Connector
    from fleet.home import Home
    from fleet.model import Snapshot
    from fleet.register.inbox import InboxRow
    from fleet.register.outbox import OutboxRow
    from fleet.register.tx import Tx

log = structlog.get_logger("bot")

STOP_LIMIT_S = 5.0
LATE_AUDIT_S = 30.0


class Bot:
    """One bot process over one home. :meth:`run` returns when it was asked to stop."""

    def __init__(
        self, home: Home, config: Config, register: Register, roster: RosterSource, host: str
    ) -> None:
        self._home = home
        self._config = config
        self._register = register
        self._roster = roster
        self._stop = asyncio.Event()
        tenant = roster.latest.tenant_id
        self.connectors: dict[str, Connector] = build_connectors(config, home, utc_now)
        self._rooms = Rooms(config, self.connectors)
        self._posts = Posts(self._rooms, lambda: str(ULID()), home.bot / "attachments")
        self._observer = Observer(home, roster.get, now=utc_now, host=host)
        self._escalations = Escalations(
            register,
            self._posts,
            config,
            alias=self._alias,
            on_call=self._on_call,
            now=utc_now,
            wake=self._wake,
        )
        self._reports = Reports(self._posts, register, self._picture, home.bot / "reports", now=utc_now)
        self._schedules = Schedules(
            register, config.schedules, self._reports.post_due, self._report_missed, now=utc_now
        )
        self.services = Services(
            config,
            register,
            self.connectors,
            self._escalations,
            self._reports,
            self._schedules,
            utc_now(),
            self._wake,
        )
        self._dispatcher = Dispatcher(
            home=home,
            now=utc_now,
            roster=roster.get,
            snapshot=self._picture,
            services=self.services,
        )
        self._mail = Mail(
            register,
            home,
            self._posts,
            host=host,
            tenant_id=tenant,
            alias=self._alias,
            snapshot=self._observer.snapshot,
            now=utc_now,
            wake_outbox=self._wake,
        )
        self._people = People(
            register,
            config,
            self._posts,
            self._dispatcher,
            self._escalations,
            Intake(register, self._posts, self._escalations, roster.get, lambda: str(ULID())),
            roster.get,
            utc_now,
            self._woke,
            utc_now(),
        )
        attachments = home.bot / "attachments"
        answers = Answers(register, config, self._posts, self._escalations, utc_now, attachments)
        self._agents = Agents(
            register,
            config,
            self._posts,
            self._escalations,
            answers,
            roster.get,
            self._woke,
            attachments,
        )
        self._worker = InboxWorker(register, self._handle)
        self._relay = Relay(register, home.spool, wake=self._worker.wake, on_bad=self._bad_file)
        self._senders = {
            name: Sender(register, connector, now=utc_now, on_dead=self._send_refused)
            for name, connector in self.connectors.items()
        }
        self._health = Health(lambda: self.services)
        local = self.connectors.get("local")
        self._socket = BotSocket(
            home.bot_socket,
            run=self._run_for_terminal,
            attach=local.attach if isinstance(local, LocalConnector) else None,
        )

    # --- small duties given to the parts ---------------------------------------------------------------

    def _alias(self, agent: str) -> str:
        found = self._roster.latest.get(agent)
        return found.shown_as if found else agent

    async def _picture(self) -> Snapshot:
        return await fresh(self._observer.latest, self._observer.refresh)

    def _on_call(self, connector: str) -> tuple[str, ...]:
        return self._config.access.on_call(connector)

    def _wake(self) -> None:
        for sender in self._senders.values():
            sender.wake.set()

    def _woke(self) -> None:
        self._wake()
        self._mail.wake()

    async def _handle(self, row: InboxRow) -> None:
        if row.source == "spool":
            self._observer.poke()  # an agent spoke: what `fleet ps` knows of it may be old
            await self._agents.handle(row)
        else:
            await self._people.handle(row)

    def _bad_file(self, name: str, reason: str) -> None:
        log.warning("spool file put to dead", file=name, reason=reason)
        ops = self._rooms.with_mode("ops")
        if ops:
            text = (
                f"⚠️ A message file of an agent could not be read and lies in spool/dead: {name} ({reason})."
            )
            work = self._register.write(
                lambda tx: self._posts.put_all(tx, ops, lambda _p: plain(text), dedup=f"badfile:{name}")
            )
            self._group.create_task(work, name=f"tell of {name}")

    async def _send_refused(self, row: OutboxRow, reason: str) -> None:
        log.error("a post was refused for good", row=row.id, connector=row.connector, reason=reason)

    async def _report_missed(self, schedule: str, reason: str) -> None:
        def work(tx: Tx) -> None:
            self._escalations.open(
                tx,
                agent="schedule",
                kind="report",
                body=f"report {schedule} failed three times: {reason}",
                cause=f"missed:{schedule}:{utc_now().isoformat()}",
            )

        await self._register.write(work)
        self._wake()

    @property
    def _watches(self) -> bool:
        """Without systemd the bot keeps this host's node alive."""
        return self._config.supervisor == "none"

    def _node_told(self, text: str) -> None:
        log.warning("node", told=text)

    async def _chain_late(self) -> None:
        """Take what terminals did without us into the audit chain, now and every 30 s."""
        while True:
            await chain_late(self._home, self._register)
            await asyncio.sleep(LATE_AUDIT_S)

    async def _run_for_terminal(self, argv: list[str], user: str, pid: int) -> Document:
        placed = await self._observer.place_of(pid)
        # Only a call that stands outside the fleet is the owner's; one that cannot be placed reads.
        if placed.agent:
            caller = Caller("cli", f"agent:{placed.agent}", Role.VIEWER, agent=placed.agent)
        elif placed.place is Place.OUTSIDE:
            caller = Caller("cli", f"local:{user}", Role.ADMIN)
        else:
            caller = Caller("cli", f"unverified:{user}", Role.VIEWER)
        document = await self._dispatcher.run(argv, caller)
        self._woke()
        return document

    # --- life ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for a graceful end."""
        self._stop.set()

    async def run(self, on_listening: Callable[[], None]) -> None:
        """Until :meth:`stop`; what was under way is finished by the next start. Raises ListenError."""
        host, _, port = self._config.http_listen.rpartition(":")
        http = await self._health.start(host.strip("[]") or "127.0.0.1", int(port))
        await self._socket.start()
        record = orjson.dumps({"pid": os.getpid(), "http": http})
        await asyncio.to_thread(write_atomic, self._home.bot_json, record + b"\n")
        on_listening()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                tasks = [
                    group.create_task(work, name=name)
                    for name, work in (
                        ("observer", self._observer.run()),
                        ("inbox", self._worker.run()),
                        ("relay", self._relay.run()),
                        ("mail", self._mail.run()),
                        ("escalations", self._escalations.run()),
                        ("schedules", self._schedules.run()),
                        ("late audit", self._chain_late()),
                        *((("node", watch_node(self._home, self._node_told)),) if self._watches else ()),
                        *((f"outbox {n}", s.run()) for n, s in self._senders.items()),
                        *(
                            (f"inbound {n}", listen(self._register, c, self._worker.wake))
                            for n, c in self.connectors.items()
                        ),
                    )
                ]
                log.info("started", http=http, connectors=sorted(self.connectors))
                tell_systemd(os.environ, "READY=1")
                await self._stop.wait()
                tell_systemd(os.environ, "STOPPING=1")
                for task in tasks:
                    task.cancel()
        finally:
            await self._close()

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._socket.stop()
                await self._health.stop()
                await asyncio.gather(*(c.stop() for c in self.connectors.values()), return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            self._home.bot_json.unlink()
        log.info("stopped")


async def run_bot(home: Home, config: Config, say: Callable[[str], None]) -> int:
    """Run until a signal. Raises AlreadyRunning, RegisterError, RosterError, FirstContactError, ListenError:
    each with its mend.

    ``say`` prints one line for the person who started it.
    """
    logs.configure(config)
    lock = await asyncio.to_thread(take_register_lock, home)
    try:
        roster = RosterSource(home.roster)
        tenant = (await roster.get()).tenant_id or pwd.getpwuid(os.getuid()).pw_name
        host = socket.gethostname()
        register = await Register.open(home.register, tenant_id=tenant, host=host, now=utc_now)
        try:
            bot = Bot(home, config, register, roster, host)
            await first_contact(register, config, bot.connectors)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, bot.stop)
            words = f"bot: running for {home.root} with {', '.join(sorted(bot.connectors))}"
            await bot.run(lambda: say(words))
        finally:
            await register.close()
    finally:
        os.close(lock)
    return 0
