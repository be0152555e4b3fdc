"""The fixed words of a roster: keys in both spellings, classes, runtimes, names that are taken."""

from __future__ import annotations

import re

CLASSES: tuple[str, ...] = (
    "orchestrator",
    "enhancer",
    "board",
    "planner",
    "decomposition",
    "code",
    "review",
    "security-review",
    "site-tester",
    "rebase",
    "documentation",
    "merge-gate",
    "operator",
    "session-review",
)
CLASS_ALIASES = {"implementer": "code", "worker": "code", "planner": "orchestrator"}
RUNTIMES: tuple[str, ...] = ("claude", "codex", "pi", "opencode", "stub", "custom")
RESERVED_NAMES = frozenset({"chat", "operator", "_holder", "task"})
HOLDER_SESSION = "_holder"
WORKING_DIRECTORY = "~/src"

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CLASS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
SOCKET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")

TOP_KEYS = ("version", "transport", "tmux", "defaults", "runtimes", "tenant_id", "agents")
TMUX_KEYS = ("socket_name", "holder_session")
DEFAULTS_KEYS = ("working_directory",)
RUNTIME_KEYS = ("reset_command",)
AGENT_KEYS = (
    "name",
    "class",
    "runtime",
    "alias",
    "model_hint",
    "host",
    "ssh",
    "socket",
    "working_directory",
    "yolo",
    "command",
    "channels",
    "account",
    "lifecycle",
    "restart",
    "on_restart",
    "permissions",
    "tenant_id",
)


def camel(key: str) -> str:
    """The other spelling of a key: ``socket_name`` as ``socketName``."""
    head, *rest = key.split("_")
    return head + "".join(part.capitalize() for part in rest)


def snake_of(key: str, known: tuple[str, ...]) -> str | None:
    """The known key that ``key`` spells in either form, or None."""
    if key in known:
        return key
    return next((name for name in known if camel(name) == key), None)
