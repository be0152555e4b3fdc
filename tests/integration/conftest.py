from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import LiveFleet, own_socket
from node_harness import Fleet

from fleet.home import Home
from framework.seed import seed


@pytest.fixture
def tmux_socket() -> Iterator[str]:
    """The name of a tmux socket that is this test's own."""
    with own_socket(f"mf-test-{os.getpid()}-{secrets.token_hex(4)}") as name:
        yield name


@pytest.fixture
def mosaic_home(tmp_path: Path) -> Path:
    """A seeded home, with a blank in its path on purpose."""
    home = Home(tmp_path / "mosaic home")
    seed(home)
    return home.root


@pytest.fixture
def live(mosaic_home: Path, tmux_socket: str) -> LiveFleet:
    return LiveFleet(mosaic_home, tmux_socket)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A home with two stub agents and a node, on a tmux socket of its own."""
    made = Fleet(tmp_path, "coder0", "coder1")
    try:
        yield made
    finally:
        made.close()
