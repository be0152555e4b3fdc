"""The one thread that writes. What is queued together is committed together, each caller on a savepoint.

Why a thread of our own: one connection that nobody else writes through needs no retry inside the process,
and a commit (with its sync to the disk) is shared by everybody who was waiting for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from fleet.register.errors import RegisterError
from fleet.register.times import to_ms
from fleet.register.tx import Tx

T = TypeVar("T")

BATCH = 256  # callers in one commit at most, so that the first of a flood does not wait for the last
BUSY_MS = 5000  # how long another process (a backup, a shell) may hold the file before a batch fails


@dataclass(slots=True)
class _Job:
    work: Callable[[Tx], Any]
    future: asyncio.Future[Any]
    value: Any = None
    problem: BaseException | None = None


class _TransactionLost(Exception):
    """SQLite gave the whole transaction up (disk full, I/O error): nothing of the batch can be kept."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the register's settings: WAL, every commit synced, foreign keys. Or sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class Writer:
    """Owned by a Register; made inside a running loop, in which the callers' futures are resolved."""

    def __init__(self, path: Path, *, tenant_id: str, host: str, now: Callable[[], datetime]) -> None:
        self._path = path
        self._tenant_id = tenant_id
        self._host = host
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="register-writer", daemon=True)

    async def start(self) -> None:
        """Open the file. Raises sqlite3.Error."""
        self._thread.start()
        await self._ready

    async def write(self, work: Callable[[Tx], T]) -> T:
        """What ``work`` returned, once it is on the disk.

        Raises what ``work`` raised; RegisterError when it was not committed.
        A caller that is cancelled before its turn is not run; later, the write happens without it.
        """
        if self._closed:
            raise RegisterError("The register is closed: the bot is stopping. Nothing was written.")
        job = _Job(work, self._loop.create_future())
        self._queue.put(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finish what is queued, then close the file. Does nothing the second time but wait."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.shield(self._ended)

    # --- in the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            connection = connect(self._path)
        except sqlite3.Error as problem:
            self._tell(_fail, self._ready, problem)
            self._tell(_succeed, self._ended, None)
            return
        self._tell(_succeed, self._ready, None)
        try:
            while batch := self._take():
                self._commit(connection, batch)
                self._tell(_settle, batch)
        finally:
            connection.close()
            self._tell(_succeed, self._ended, None)

    def _take(self) -> list[_Job]:
        """Wait for a job and take with it what is there; empty at the end."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < BATCH:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # after this batch
                break
            batch.append(job)
        return batch

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                if not job.future.cancelled():
                    self._one(connection, job)
            connection.execute("COMMIT")
        except (sqlite3.Error, _TransactionLost) as problem:
            with contextlib.suppress(sqlite3.Error):  # what follows fails in words if it is still open
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            cause = problem.__cause__ if isinstance(problem, _TransactionLost) else problem
            lost = RegisterError(
                f"The register {self._path} did not take a write: {cause}. Nothing of it was kept. "
                "Look at the disk (space, errors) and at who else has the file open."
            )
            lost.__cause__ = cause
            for job in batch:
                # A caller whose own exception came before keeps it: that one says more.
                if job.problem is None or job.problem is cause:
                    job.problem = lost

    def _one(self, connection: sqlite3.Connection, job: _Job) -> None:
        connection.execute("SAVEPOINT caller")
        try:
            job.value = job.work(Tx(connection, self._tenant_id, self._host, to_ms(self._now())))
        except BaseException as problem:  # it belongs to the caller, who gets it; the thread must live
            job.problem = problem
            if not connection.in_transaction:
                raise _TransactionLost from problem
            connection.execute("ROLLBACK TO caller")
        connection.execute("RELEASE caller")

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is gone, and with it everybody who waited
            self._closed = True


def _succeed(future: asyncio.Future[None], value: None) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[None], problem: BaseException) -> None:
    if not future.done():
        future.set_exception(problem)


def _settle(batch: list[_Job]) -> None:
    for job in batch:
        if job.future.done():
            continue
        if job.problem is None:
            job.future.set_result(job.value)
        elif isinstance(job.problem, StopIteration):  # a future cannot carry it
            job.future.set_exception(RuntimeError("a write raised StopIteration"))
        else:
            job.future.set_exception(job.problem)
