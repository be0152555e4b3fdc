"""A real homeserver for the whole run, on a free loopback port, ended by its pid."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from chat_support import PASSWORD, Person, free_port, new_account

from bot.homeserver import Homeserver
from demo.layout import Layout
from demo.matrix_client import MatrixClient
from demo.stack import Stack, clear

ROOT = Path(__file__).parents[2]
SYNAPSE = Path(os.environ.get("MOSAIC_SYNAPSE_PYTHON", ROOT / ".synapse/bin/python"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def homeserver(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Homeserver]:
    if not SYNAPSE.exists():
        pytest.skip(f"Synapse is not installed ({SYNAPSE}); scripts/bootstrap.sh installs it")
    server = Homeserver(tmp_path_factory.mktemp("homeserver"), SYNAPSE)
    server.write_config(free_port())
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def person(homeserver: Homeserver) -> AsyncIterator[Person]:
    """``await person("ana")``: a fresh account, signed in and following its rooms."""
    opened: list[MatrixClient] = []

    async def make(name: str) -> MatrixClient:
        client = MatrixClient(homeserver.url, await new_account(homeserver, name), PASSWORD)
        opened.append(client)
        await client.login()
        await client.follow()
        return client

    yield make
    for client in opened:
        await client.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The whole product on real parts: homeserver, node, five agents, bot; once for the whole run."""
    layout = Layout(tmp_path_factory.mktemp("stack"))
    clear(layout)
    running = Stack(layout, lambda _line: None)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@pytest.fixture
def operator(stack: Stack) -> MatrixClient:
    return stack.people[0]
