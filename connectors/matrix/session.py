"""Signing in, and keeping the sign-in: the device id must outlive the token.

The homeserver knows a transaction id by device: the same post sent again after a restart shows once only when
the device is the same one.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from connectors.matrix.wire import V3, Reply, Unreachable, Wire
from connectors.protocol import StartError

DEVICE_NAME = "Mosaic Fleet"


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in as it lies in ``session.json``."""

    user_id: str
    device_id: str | None
    token: str


class SessionStore:
    """``session.json`` in the connector's folder, 0600."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "session.json"

    def load(self, user_id: str) -> Session | None:
        """The kept sign-in of this user; None when there is none, or it is another user's, or unreadable."""
        try:
            data = json.loads(self._path.read_text())
            kept = Session(data["user_id"], data["device_id"], data["token"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return kept if kept.user_id == user_id else None

    def save(self, session: Session) -> None:
        """Replace the file whole. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temp = self._path.with_suffix(f".{os.getpid()}")
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as handle:
            json.dump(asdict(session), handle)
            handle.flush()
            os.fsync(handle.fileno())
        temp.replace(self._path)


class SignIn:
    """Gets a living token into the wire: the kept one, the configured one, or a new one for the password."""

    def __init__(
        self, wire: Wire, user_id: str, password: str | None, token: str | None, store: SessionStore
    ) -> None:
        self._wire = wire
        self._user_id = user_id
        self._password = password
        self._token = token
        self._store = store

    async def ensure(self) -> Session:
        """A sign-in that works now.

        Raises StartError where only a person can mend it, Unreachable where waiting can.
        """
        kept = await asyncio.to_thread(self._store.load, self._user_id)
        device = kept.device_id if kept else None
        for token in dict.fromkeys(t for t in (kept.token if kept else None, self._token) if t):
            session = await self._check(token, device)
            if session is not None:
                return await self._keep(session)
        if self._password is None:
            self._wire.token = None
            raise StartError(
                f"The homeserver {self._wire.homeserver} does not know the access token of {self._user_id} "
                "(any more). Put a new token into the token file, or configure password_file instead, "
                "and start the bot again."
            )
        return await self._keep(await self._log_in(self._password, device))

    async def _keep(self, session: Session) -> Session:
        self._wire.token = session.token
        await asyncio.to_thread(self._store.save, session)
        return session

    async def _check(self, token: str, device: str | None) -> Session | None:
        self._wire.token = token
        reply = await self._wire.call("GET", f"{V3}/account/whoami")
        if reply.token_is_dead:
            return None
        self._must_be_matrix(reply)
        if not reply.ok:
            raise StartError(
                f"The homeserver {self._wire.homeserver} refuses {self._user_id}: {reply.error} "
                f"({reply.errcode}). Is the account locked or deactivated?"
            )
        owner = str(reply.body.get("user_id", ""))
        if owner != self._user_id:
            raise StartError(
                f"The access token belongs to {owner}, but the configuration says {self._user_id}. "
                "Correct connectors.matrix.user_id or the token file."
            )
        return Session(owner, reply.body.get("device_id") or device, token)

    async def _log_in(self, password: str, device: str | None) -> Session:
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self._user_id},
            "password": password,
            "initial_device_display_name": DEVICE_NAME,
        }
        if device:
            body["device_id"] = device
        self._wire.token = None
        reply = await self._wire.call("POST", f"{V3}/login", body)
        self._must_be_matrix(reply)
        if not reply.ok:
            raise StartError(
                f"The homeserver {self._wire.homeserver} refuses the sign-in of {self._user_id}: "
                f"{reply.error} ({reply.errcode}). Check connectors.matrix.user_id and the password "
                "in password_file, then start the bot again."
            )
        return Session(
            str(reply.body["user_id"]), str(reply.body["device_id"]), str(reply.body["access_token"])
        )

    def _must_be_matrix(self, reply: Reply) -> None:
        """Only Matrix's own refusal is final; busy servers and proxies are waited for."""
        if reply.status == 429 or reply.status >= 500 or (not reply.ok and not reply.errcode):
            raise Unreachable(
                f"{self._wire.homeserver} answered the sign-in with {reply.status}: {reply.error}"
            )
