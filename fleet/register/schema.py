"""The register's tables. Every one carries `tenant_id` and `host`; times are epoch milliseconds (UTC).

Only what the product uses today stands here; a table comes with the code that needs it and a migration.
What must be unique is unique within a tenant. Numbers that people or keys refer to are never given twice,
also after old rows were removed (AUTOINCREMENT).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _owner(*, key: bool = False) -> tuple[Column[str], Column[str]]:
    return Column("tenant_id", Text, nullable=False, primary_key=key), Column("host", Text, nullable=False)


# Everything that came in, before anything acted on it. (source, external_id) makes a repeat harmless.
# source: a connector's name, or "spool". state: received → done | dead. kind: message | edit | redact |
# react | undecryptable | envelope. started_at is set before an acting command runs (at most once).
inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    *_owner(),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("room", Text),
    Column("sender", Text),
    Column("body", Text, nullable=False),  # JSON of the event or envelope
    Column("event_ts", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="received"),
    Column("started_at", BigInteger),
    Column("handled_at", BigInteger),
    Column("note", Text),
    UniqueConstraint("tenant_id", "source", "external_id"),
    Index("ix_inbox_state_id", "state", "id"),
    sqlite_autoincrement=True,
)

# How far each source was read: `key` is "cursor" and whatever else a source must remember.
cursors = Table(
    "cursors",
    metadata,
    *_owner(key=True),
    Column("source", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# Everything that goes out. `id` is a ULID and, with kind, the network's transaction id. `dedup` (unique)
# makes an effect happen once however often its cause is handled again. Rows of one (connector, room) go
# in order of `seq`. kind: send | edit | react | redact | upload. refers_to: the outbox id whose sent
# message is edited, reacted to or threaded under; thread_of likewise for the thread's root.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    *_owner(),
    Column("dedup", Text),
    Column("connector", Text, nullable=False),
    Column("lane", Text, nullable=False),  # answer | normal | bulk
    Column("kind", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("thread_ref", Text),
    Column("thread_of", Text),
    Column("target_ref", Text),
    Column("refers_to", Text),
    Column("content", Text, nullable=False),  # JSON of connectors.protocol.Content, or {"emoji": …}
    Column("state", Text, nullable=False, server_default="pending"),  # pending | sent | dead
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", BigInteger, nullable=False),
    Column("ref", Text),  # the network's message id once sent
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("error", Text),
    UniqueConstraint("tenant_id", "dedup"),
    Index("ix_outbox_line", "connector", "state", "room", "lane", "seq"),  # the head of each line
    Index("ix_outbox_served", "connector", "room", "lane", "sent_at"),  # when a line had its last turn
    Index("ix_outbox_ref", "connector", "ref"),
    sqlite_autoincrement=True,
)

# One conversation of people with an agent: a room, or a thread in it, on one network. The handle is what
# the agent answers to; 12 random characters, never reused.
conversations = Table(
    "conversations",
    metadata,
    Column("handle", Text, primary_key=True),
    *_owner(),
    Column("connector", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("thread", Text, nullable=False, server_default=""),
    Column("person", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "connector", "room", "thread", "person", "agent"),
)

# A person's message on its way: M-<number>. state: accepted → queued → typed → answered | failed | held.
messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    *_owner(),
    Column("inbox_id", Integer, ForeignKey("inbox.id"), nullable=False, unique=True),
    Column("handle", Text, ForeignKey("conversations.handle"), nullable=False),
    Column("mail_id", Text, nullable=False, unique=True),  # the ULID of its mailbox file
    Column("agent", Text, nullable=False),
    Column("event_ref", Text, nullable=False),  # the network's id of what the person wrote
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text),
    Column("accepted_at", BigInteger, nullable=False),
    Column("queued_at", BigInteger),
    Column("typed_at", BigInteger),
    Column("answered_at", BigInteger),
    Column("evidence", Text),
    Column("answer_outbox", Text),
    Index("ix_messages_handle", "handle", "number"),
    Index("ix_messages_state", "state"),
    sqlite_autoincrement=True,
)

# An agent's call for a person: E-<number>. state: open → acknowledged → resolved (snoozed, stale).
escalations = Table(
    "escalations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    *_owner(),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),  # asked | blocked | dead | report | connector
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("opened_at", BigInteger, nullable=False),
    Column("acked_at", BigInteger),
    Column("acked_by", Text),
    Column("resolved_at", BigInteger),
    Column("resolved_by", Text),
    Column("reason", Text),
    Column("level", Integer, nullable=False, server_default="0"),
    Column("next_due", BigInteger),  # when it is raised again or asked after; null: never
    Index("ix_escalations_key", "key", "number"),
    Index("ix_escalations_due", "state", "next_due"),
    # Two of one key cannot be under way at once.
    Index(
        "uq_escalations_live",
        "tenant_id",
        "key",
        unique=True,
        sqlite_where=text("state != 'resolved'"),
        postgresql_where=text("state != 'resolved'"),
    ),
    sqlite_autoincrement=True,
)

# Where an escalation's root stands on each network: its outbox row, from which the ref follows.
escalation_posts = Table(
    "escalation_posts",
    metadata,
    Column("number", Integer, ForeignKey("escalations.number"), primary_key=True),
    Column("connector", Text, primary_key=True),
    *_owner(),
    Column("room", Text, nullable=False),
    Column("outbox_id", Text, nullable=False),
    Index("ix_escalation_posts_outbox_id", "outbox_id"),
)

# What became of it, in order: who, when, what.
escalation_events = Table(
    "escalation_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    *_owner(),
    Column("number", Integer, ForeignKey("escalations.number"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("note", Text),
    Index("ix_escalation_events_number", "number", "id"),
    sqlite_autoincrement=True,
)

# What is due, and what ran: (schedule_id, due_at) makes a report appear once.
schedules = Table(
    "schedules",
    metadata,
    *_owner(key=True),
    Column("id", Text, primary_key=True),
    Column("definition", Text, nullable=False),  # JSON
    Column("source", Text, nullable=False),  # config | chat
    Column("paused", Integer, nullable=False, server_default="0"),
    Column("next_due", BigInteger),
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    *_owner(key=True),
    Column("schedule_id", Text, primary_key=True),
    Column("due_at", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),  # started | posted | failed
    Column("started_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("note", Text),
)

# Dangerous commands that wait for `yes CODE`.
confirmations = Table(
    "confirmations",
    metadata,
    *_owner(key=True),
    Column("code", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("argv", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # what the command would touch, as shown
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # open | confirmed | refused | expired | overtaken
    Column("prompt_outbox", Text),
)

# Who did what, hash-chained: hash = sha256(previous hash + canonical JSON of the row).
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    *_owner(),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("duration_ms", Integer),
    Column("detail", Text),
    Column("late", Integer, nullable=False, server_default="0"),
    Column("hash", Text, nullable=False),
    sqlite_autoincrement=True,
)

# Files that came with messages are on disk; this remembers where and until when.
attachments = Table(
    "attachments",
    metadata,
    Column("id", Text, primary_key=True),
    *_owner(),
    Column("inbox_id", Integer, ForeignKey("inbox.id")),
    Column("path", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", LargeBinary),
)
