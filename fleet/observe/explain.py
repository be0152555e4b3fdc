"""`fleet explain`: which evidence led to a row's verdict, and how old each piece is. Pure."""

from __future__ import annotations

from fleet.model import AgentRow

_FLAGS = {
    "DRIFT": "another program runs than the roster's runtime",
    "BOOT-ENABLE": "its unit is active but not enabled, so it will not come back after a boot",
    "UNMANAGED": "the roster does not know this session",
    "BLOCKED": "it waits for a person",
    "SILENT": "busy without event, transcript growth or output for 10 minutes or more",
    "UNTESTED": "this version of the program was not tested; proofs by its screen are off",
    "PAUSED": "the fleet is paused",
    "NO-RELAY": "its host has neither a node nor a line of ours, so its messages reach nobody",
    "UNREACHABLE": "its host or tmux socket does not answer; what is shown is the last that was known",
}


def explain(row: AgentRow) -> list[str]:
    """Lines for people: the verdict and why, each piece of evidence with its age, each flag's meaning."""
    named = f"{row.name} ({row.alias})" if row.alias else row.name
    lines = [f"{named} on {row.host}, socket {row.socket or 'default'}"]
    lines += row.evidence or (f"{row.readiness}: no evidence",)
    if row.systemd_active is not None:
        lines.append(f"unit: {row.systemd_active}, {row.systemd_enabled}")
    if row.runtime and row.managed:
        lines.append(f"roster: runtime {row.runtime}, class {row.agent_class}")
    if row.task:
        lines.append(f"task: {row.task}")
    for flag in row.flags:
        detail = f" ({row.blocked_reason})" if flag == "BLOCKED" and row.blocked_reason else ""
        lines.append(f"{flag}{detail}: {_FLAGS.get(flag, 'no explanation')}")
    return lines
