"""What a homeserver's answer to a post means for whoever posts. Pure."""

from __future__ import annotations

from connectors.matrix.wire import Reply
from connectors.protocol import Outcome, Rejected, Sent, Unavailable


def judge(reply: Reply) -> Outcome:
    """Only Matrix itself refuses for good: a proxy's page has no errcode and means "not now"."""
    if reply.ok:
        return Sent(str(reply.body.get("event_id", "")))
    if reply.errcode == "M_DUPLICATE_ANNOTATION":  # the same emoji stands there already: as wanted
        return Sent("")
    if reply.status == 429 or reply.errcode == "M_LIMIT_EXCEEDED":
        return Unavailable("the homeserver asks to slow down", reply.retry_after_s)
    if reply.token_is_dead:
        return Unavailable("the homeserver no longer knows the bot's sign-in")
    if reply.status >= 500 or reply.status == 408 or not reply.errcode:
        return Unavailable(f"the homeserver answered {reply.status}: {reply.error}")
    return Rejected(f"{reply.errcode}: {reply.error}")
