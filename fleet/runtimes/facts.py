"""Plain facts about runtimes that cheap readers need without loading an adapter."""

from __future__ import annotations

# Runtimes whose adapter reports what the program does to the node. Without such reports a missing
# `.state` says nothing; with them it means that the program's state is not known. Grows with the adapters.
EVENT_RUNTIMES = frozenset({"stub"})


def has_events(runtime: str | None) -> bool:
    return runtime in EVENT_RUNTIMES
