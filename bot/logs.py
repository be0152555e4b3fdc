"""Structured logs on stderr: what happened with ids and reasons, never bodies or secrets."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from bot.config import Config


def configure(_config: Config) -> None:
    """One line an event; JSON unless at a terminal. `MOSAIC_LOG_LEVEL` sets the level."""
    level = logging.getLevelNamesMapping().get(
        os.environ.get("MOSAIC_LOG_LEVEL", "INFO").upper(), logging.INFO
    )
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("nio").setLevel(logging.ERROR)
