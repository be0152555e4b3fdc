"""Putting posts into the outbox: one row per network that has the room, rendered for each."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bot.rooms import Place, Rooms
from connectors.protocol import Content, File
from fleet.register import outbox

if TYPE_CHECKING:
    from bot.document import Document
    from fleet.register.engine import Tx


def encode(content: Content) -> str:
    """Content → the JSON of an outbox row."""
    record: dict[str, Any] = asdict(content)
    if content.file is not None:
        record["file"]["path"] = str(content.file.path)
    return orjson.dumps(record).decode()


def decode(record: str) -> Content:
    """The JSON of an outbox row → Content. Raises ValueError or KeyError for anything else."""
    data = orjson.loads(record)
    attached = data.get("file")
    return Content(
        text=data["text"],
        html=data.get("html"),
        ping=tuple(data.get("ping") or ()),
        silent=bool(data.get("silent", True)),
        reply_to=data.get("reply_to"),
        file=File(Path(attached["path"]), attached["name"], attached["mime"], attached.get("alt", ""))
        if attached
        else None,
    )


def spoken(alias: str, body: str, **more: Any) -> Content:
    """An agent's words under its alias. Nothing in the body is read as markup."""
    shown = html.escape(body, quote=False).replace("\n", "<br>")
    return Content(text=f"{alias}: {body}", html=f"<b>{html.escape(alias)}</b>: {shown}", **more)


def plain(text: str, **more: Any) -> Content:
    """The bot's own words."""
    return Content(text=text, html=html.escape(text, quote=False).replace("\n", "<br>"), **more)


def folded(head: str, body: str, **more: Any) -> Content:
    """A line, and text under it that keeps its own form."""
    return Content(
        text=f"{head}\n{body}",
        html=f"{html.escape(head, quote=False)}<pre><code>{html.escape(body, quote=False)}</code></pre>",
        **more,
    )


@dataclass(frozen=True, slots=True)
class Posts:
    """Writes outbox rows inside the caller's transaction. ``new_id`` gives ULIDs, ``attachments`` keeps
    the files that go along until they are sent."""

    rooms: Rooms
    new_id: Callable[[], str]
    attachments: Path

    def put(
        self,
        tx: Tx,
        place: Place,
        content: Content,
        *,
        dedup: str,
        lane: str = "normal",
        thread_ref: str | None = None,
        thread_of: str | None = None,
        kind: str = "send",
        refers_to: str | None = None,
        target_ref: str | None = None,
    ) -> str:
        """One row on one network; the same ``dedup`` again gives the id of the first."""
        return outbox.put(
            tx,
            id=self.new_id(),
            connector=place.connector,
            room=place.room_id,
            kind="upload" if content.file and kind == "send" else kind,
            content=encode(content),
            lane=lane,
            thread_ref=thread_ref,
            thread_of=thread_of,
            target_ref=target_ref,
            refers_to=refers_to,
            dedup=f"{dedup}@{place.connector}",
        )

    def put_all(
        self,
        tx: Tx,
        room: str,
        make: Callable[[Place], Content],
        *,
        dedup: str,
        lane: str = "normal",
        leave_out: Iterable[str] = (),
    ) -> dict[str, str]:
        """The same post on every network that has the room; outbox id by network."""
        skip = set(leave_out)
        return {
            place.connector: self.put(tx, place, make(place), dedup=dedup, lane=lane)
            for place in self.rooms.places(room)
            if place.connector not in skip
        }

    def react(
        self,
        tx: Tx,
        place: Place,
        emoji: str,
        *,
        dedup: str,
        event: str | None = None,
        refers_to: str | None = None,
        thread: str | None = None,
        lane: str = "answer",
    ) -> str:
        """An emoji on ``event`` of the network, or on the post that ``refers_to`` (an outbox id) became."""
        return outbox.put(
            tx,
            id=self.new_id(),
            connector=place.connector,
            room=place.room_id,
            kind="react",
            content=orjson.dumps({"emoji": emoji}).decode(),
            lane=lane,
            thread_ref=thread,
            target_ref=event,
            refers_to=refers_to,
            dedup=f"{dedup}@{place.connector}",
        )

    def take_back(self, tx: Tx, place: Place, outbox_id: str, *, dedup: str) -> str:
        """Remove a post or reaction of ours again."""
        nothing = Content(text="")
        return self.put(tx, place, nothing, kind="redact", refers_to=outbox_id, dedup=dedup, lane="answer")

    def document(
        self,
        tx: Tx,
        place: Place,
        document: Document,
        *,
        dedup: str,
        lane: str = "answer",
        thread_ref: str | None = None,
        reply_to: str | None = None,
        ping: Sequence[str] = (),
        silent: bool = True,
    ) -> list[str]:
        """A rendered document: one row for its text, one for each picture."""
        from bot.render.matrix import render

        rows = []

        def save(whole: str) -> Path:
            self.attachments.mkdir(parents=True, exist_ok=True)
            path = self.attachments / f"{dedup.replace(':', '-')}.txt"
            path.write_text(whole)
            return path

        for index, part in enumerate(render(document, save)):
            content = Content(
                text=part.text,
                html=part.html,
                ping=tuple(ping) if index == 0 else (),
                silent=silent,
                reply_to=reply_to if index == 0 else None,
                file=part.file,
            )
            rows.append(
                self.put(tx, place, content, dedup=f"{dedup}:{index}", lane=lane, thread_ref=thread_ref)
            )
        return rows
