"""`/healthz` and `/readyz` on loopback: what works, in words a monitor can read."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from connectors.protocol import LinkState

if TYPE_CHECKING:
    from bot.services import Services

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


class ListenError(Exception):
    """The address of `http.listen` cannot be had; the text says the mend."""


class Health:
    """The HTTP face. ``services`` is called at each request, so that it may start before they exist."""

    def __init__(self, services: Callable[[], Services | None]) -> None:
        self._services = services
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen (port 0: a free one); the address `host:port`. Raises ListenError when it cannot be had."""
        app = web.Application(middlewares=[_loopback_only])
        app.add_routes([web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as problem:
            await self.stop()
            why = (
                "is in use by another program" if problem.errno == errno.EADDRINUSE else f"fails ({problem})"
            )
            raise ListenError(
                f"The bot cannot listen on {host}:{port}: that address {why}. End that program, or change "
                "http.listen in the configuration (port 0 picks a free one)."
            ) from problem
        address = self._runner.addresses[0]
        return f"{address[0]}:{address[1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        services = self._services()
        states = {c.name: c.status.state.value for c in services.status()} if services else {}
        return web.json_response({"alive": True, "connectors": states})

    async def _readyz(self, _request: web.Request) -> web.Response:
        services = self._services()
        up = services is not None and any(c.status.state is LinkState.UP for c in services.status())
        return web.json_response({"ready": up}, status=200 if up else 503)


@web.middleware
async def _loopback_only(
    request: web.Request, handler: Callable[[web.Request], object]
) -> web.StreamResponse:
    """A page in a browser must not reach this by a name that resolves to loopback (DNS rebinding)."""
    name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if name not in LOOPBACK_NAMES:
        return web.json_response({"error": f"unknown host {request.host!r}"}, status=403)
    response: web.StreamResponse = await handler(request)  # type: ignore[misc]
    return response
