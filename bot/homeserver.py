"""A Matrix homeserver of one's own: Synapse from its wheel, in one folder, on loopback, run by pid.

Synapse stays a program of its own (its licence and its many pins are not ours): nothing of it is imported.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from bot.homeserver_config import log_config, main_config
from fleet.files import write_atomic

START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
CALL_LIMIT_S = 30.0
DEFAULT_PYTHON = Path(".synapse/bin/python")
CONFIG, PID_FILE, OUTPUT = "homeserver.yaml", "homeserver.pid", "stdout.log"

Progress = Callable[[str], None]


class HomeserverError(Exception):
    """The homeserver cannot do what was asked; the text says what happened, where, and the mend."""


class Homeserver:
    """One Synapse in ``folder``, run by ``python``: the interpreter of Synapse's own environment."""

    def __init__(self, folder: Path, python: Path = DEFAULT_PYTHON) -> None:
        self.folder = folder.absolute()
        self.python = python.absolute()  # not resolved: a venv's interpreter is a link, and must stay one
        self._child: asyncio.subprocess.Process | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The written configuration. Raises HomeserverError when there is none."""
        path = self.folder / CONFIG
        try:
            loaded: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            raise HomeserverError(
                f"There is no homeserver in {self.folder} yet: write its configuration first."
            ) from None
        except ValueError as problem:
            raise HomeserverError(
                f"{path} cannot be read ({problem}); move it away to have it written anew."
            ) from problem
        return loaded

    @property
    def port(self) -> int:
        return int(self.config["listeners"][0]["port"])

    @property
    def server_name(self) -> str:
        return str(self.config["server_name"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write_config(self, port: int, server_name: str = "mosaic.localhost") -> Path:
        """Write configuration, log configuration and signing key; secrets and key of an earlier run are kept.

        ``server_name`` is part of every user id and can never change later: another one than the folder
        already has raises HomeserverError.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (self.folder / CONFIG).exists() and self.server_name != server_name:
            raise HomeserverError(
                f"{self.folder} belongs to the homeserver {self.server_name}; a name never changes. "
                f"Use another folder for {server_name}."
            )
        self._write_signing_key()
        write_atomic(self.folder / "log.yaml", yaml.safe_dump(log_config(self.folder)).encode())
        path = self.folder / CONFIG
        body = main_config(self.folder, port, server_name, self._secrets())
        write_atomic(path, json.dumps(body, indent=2).encode())  # JSON is YAML
        return path

    def _secrets(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        if not path.exists():
            names = ("registration_shared_secret", "macaroon_secret_key", "form_secret")
            write_atomic(path, json.dumps({name: secrets.token_hex(24) for name in names}).encode())
        loaded: dict[str, str] = json.loads(path.read_text())
        return loaded

    def _write_signing_key(self) -> None:
        """An ed25519 seed in Synapse's own file format; a run of Synapse only for this would cost seconds."""
        path = self.folder / "signing.key"
        if not path.exists():
            seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
            write_atomic(path, f"ed25519 a_{secrets.token_hex(2)} {seed}\n".encode())

    def running(self) -> int | None:
        """The pid of this folder's server if it lives (known by pid and start time), else None."""
        try:
            pid, started = (self.folder / PID_FILE).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _start_ticks(int(pid)) == started else None

    async def start(self, progress: Progress | None = None) -> int:
        """Start Synapse, wait until it answers (at most 60 s), return its pid. A running one is left alone.

        Raises HomeserverError: Synapse is not installed, the port is in use, or it ended or never answered.
        """
        say = progress or (lambda _text: None)
        alive = self.running()
        if alive is not None:
            return alive
        port = self.port
        if not self.python.exists():
            raise HomeserverError(
                f"Synapse is not installed: {self.python} is missing. Run scripts/bootstrap.sh, "
                "or name the interpreter of an environment that has matrix-synapse."
            )
        if _port_in_use(port):
            raise HomeserverError(
                f"Port {port} on 127.0.0.1 is in use by another program, so the homeserver of {self.folder} "
                "cannot listen there. Choose another port, or stop that program."
            )
        say("starting the homeserver")
        # Opened for the child only, once per start: a burst of microseconds.
        with (self.folder / OUTPUT).open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                str(self.python),
                "-m",
                "synapse.app.homeserver",
                "-c",
                str(self.folder / CONFIG),
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        pid = self._child.pid
        write_atomic(self.folder / PID_FILE, f"{pid} {_start_ticks(pid)}\n".encode())
        try:
            await self._wait_until_ready(self._child, say)
        except BaseException:
            await self.stop()
            raise
        return pid

    async def _wait_until_ready(self, child: asyncio.subprocess.Process, say: Progress) -> None:
        began = time.monotonic()
        told = 0
        while True:
            if child.returncode is not None:
                raise HomeserverError(
                    f"Synapse ended with code {child.returncode} while starting. Its last words "
                    f"({self.folder / OUTPUT}):\n{self._last_words()}"
                )
            if await self.answers():
                return
            waited = time.monotonic() - began
            if waited > START_LIMIT_S:
                raise HomeserverError(
                    f"Synapse did not answer on {self.url} within {START_LIMIT_S:.0f} s. Its last words "
                    f"({self.folder / OUTPUT}):\n{self._last_words()}"
                )
            if waited // 5 > told:
                told = int(waited // 5)
                say(f"homeserver still starting, {waited:.0f} s")
            await asyncio.sleep(0.1)

    async def answers(self) -> bool:
        """Whether something that speaks Matrix answers on the port now."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http,
                http.get(f"{self.url}/_matrix/client/versions") as reply,
            ):
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _last_words(self) -> str:
        try:
            return (self.folder / OUTPUT).read_text(errors="replace")[-1500:].strip() or "(none)"
        except OSError:
            return "(none)"

    async def stop(self) -> None:
        """End this folder's server by its pid: asked first, killed after 10 s. No server is no error."""
        pid = self.running()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not await self._gone(STOP_LIMIT_S):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await self._gone(STOP_LIMIT_S)
        if self._child is not None:
            await self._child.wait()
            self._child = None
        (self.folder / PID_FILE).unlink(missing_ok=True)

    async def _gone(self, limit_s: float) -> bool:
        until = time.monotonic() + limit_s
        while self.running() is not None:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.05)
        return True

    async def register(self, user: str, password: str, *, admin: bool = False) -> str:
        """Create the account and return its full id; one that exists already keeps its password.

        Raises HomeserverError when the server refuses or cannot be reached.
        """
        secret = str(self.config["registration_shared_secret"])
        url = f"{self.url}/_synapse/admin/v1/register"
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_LIMIT_S)) as http:
                async with http.get(url) as reply:
                    nonce = str((await reply.json())["nonce"])
                words = (nonce, user, password, "admin" if admin else "notadmin")
                # The server's registration call is defined over HMAC-SHA1.
                mac = hmac.new(secret.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
                body = {"nonce": nonce, "username": user, "password": password, "admin": admin, "mac": mac}
                async with http.post(url, json=body) as reply:
                    answer = await reply.json()
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as problem:
            raise HomeserverError(
                f"The homeserver on {self.url} did not register {user}: {problem or 'no answer'}"
            ) from problem
        if answer.get("errcode") == "M_USER_IN_USE":
            return f"@{user}:{self.server_name}"
        if "user_id" not in answer:
            raise HomeserverError(f"The homeserver refused the account {user}: {answer.get('error', answer)}")
        return str(answer["user_id"])


def _start_ticks(pid: int) -> str | None:
    """When the process began, as the kernel counts it; None when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _port_in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
