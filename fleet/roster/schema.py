"""The JSON schema of the roster file, for editors and for `mosaic`'s own documentation."""

from __future__ import annotations

from typing import Any


def json_schema() -> dict[str, Any]:
    """Snake spelling; claims no default for `socket_name` because absent is tmux's default socket."""
    from fleet.roster import models

    return models.json_schema()
