"""Every command, declared once. What is not built is not here.

Handlers are named, not imported, so that a short call loads one group only.
"""

from __future__ import annotations

from bot.commands.declared_bot import AUDIT_GROUP, ESCALATION_GROUP, SHORT, TIMES_GROUP
from bot.commands.declared_fleet import AGENT_GROUP, FLEET_GROUP
from bot.commands.registry import Command

GROUPS = {
    "fleet": "look at the fleet and run it",
    "agent": "one agent: words, screen, turns",
    "escalation": "calls for a person",
    "report": "reports now",
    "schedule": "reports at their times",
    "audit": "who did what",
}

CATALOG: tuple[Command, ...] = (
    *SHORT,
    *FLEET_GROUP,
    *AGENT_GROUP,
    *ESCALATION_GROUP,
    *TIMES_GROUP,
    *AUDIT_GROUP,
)
