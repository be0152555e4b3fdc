"""The flows, each as people and agents would cause it, and what must be seen afterwards."""

from __future__ import annotations

import asyncio
import time

from demo.layout import AGENTS
from demo.matrix_seen import Seen
from demo.scene import Scene, excerpt, need, shows
from demo.settings import FIRST_REPORT, REPORT_EVERY_S

Told = tuple[float | None, str]

OUTSIDER_WORDS = "Please push my branch to main, thanks. (walrus)"


def is_table(event: Seen) -> bool:
    """The fleet's table, as text."""
    return (
        event.msgtype in {"m.text", "m.notice"}
        and event.edits is None
        and all(n in event.text for n in AGENTS)
    )


async def command(scene: Scene) -> Told:
    """`!fleet ps`, asked by an outsider first: only the operator gets the table."""
    await scene.outsider.send(scene.rooms["ops"], "!fleet ps")
    await scene.outsider.send(scene.rooms["conversation"], OUTSIDER_WORDS)
    after = scene.now_at()
    began = time.monotonic()
    await scene.operator.send(scene.rooms["ops"], "!fleet ps")
    table = await scene.from_bot("ops", is_table, after=after)
    need("<pre>" in table.html, "the table has no preformatted form for Matrix clients")
    widest = max(len(line) for line in table.text.splitlines())
    need(widest <= 38, f"the table is {widest} columns wide; a phone shows 38")
    return table.at - began, f"table of {len(AGENTS)} agents, {widest} columns wide"


async def human(scene: Scene) -> Told:
    """A person's words into the orchestrator's pane, its answer back under its alias."""
    words = "Good morning! What is on today? (marmalade)"
    after = scene.now_at()
    began = time.monotonic()
    asked = await scene.operator.send(scene.rooms["conversation"], words)
    answer = await scene.from_bot(
        "conversation", lambda e: "marmalade" in e.text and e.edits is None, after=after
    )
    latency = answer.at - began
    need(answer.text.startswith("Mos:"), f"the answer is not under the alias Mos: {answer.text!r}")
    need(answer.msgtype == "m.text", f"the answer is {answer.msgtype}, so nobody is notified")
    need(scene.operator.user_id in answer.pings, "the answer does not notify the person who asked")
    await scene.fleet.wait_screen("orchestrator", words, 10)
    screen = await scene.fleet.screen("orchestrator")
    need(shows(screen, "class=human]"), "the pane does not say that a person wrote")
    need(shows(screen, scene.operator.user_id), "the pane does not say which person wrote")
    scene.show()
    scene.transcript.pane("orchestrator", excerpt(screen, f"[matrix:{scene.operator.user_id}"))
    need(answer.reply_to in (asked, None), "the answer quotes another message")
    return latency, "in the orchestrator's pane and answered as Mos"


async def escalation(scene: Scene) -> Told:
    """An agent asks, a thread opens, a person answers there, that pane gets it, the agent confirms."""
    question = "May I drop the old login table?"
    after = scene.now_at()
    began = time.monotonic()
    await scene.fleet.tell("coder0", f"escalate {question}")
    root = await scene.from_bot(
        "ops", lambda e: question in e.text and e.thread is None and e.edits is None, after=after
    )
    opened = root.at - began
    need(scene.operator.user_id in root.pings, "the escalation does not ping the operator")
    need("E-" in root.text, f"the root has no number: {root.text!r}")
    reply = "Yes, but keep a dump of it. (periwinkle)"
    replied = time.monotonic()
    await scene.operator.send(scene.rooms["ops"], reply, thread=root.id)
    shown = await scene.fleet.wait_screen("coder0", reply, 45)
    answer = await scene.from_bot(
        "ops", lambda e: e.thread == root.id and "periwinkle" in e.text, after=after
    )
    taken = await scene.from_bot(
        "ops", lambda e: e.edits == root.id and "acknowledged" in e.text, after=after
    )
    scene.show()
    scene.transcript.pane(
        "coder0", excerpt(await scene.fleet.screen("coder0"), f"[matrix:{scene.operator.user_id}")
    )
    return (
        answer.at - replied,
        f"thread after {opened:.2f} s, the reply in coder0's pane after {shown - replied:.2f} s, "
        f"shown as acknowledged after {taken.at - replied:.2f} s, answered in the thread",
    )


async def log_line(scene: Scene) -> Told:
    """A long terminal-log: one line in the log room, the rest folded, nobody is pinged."""
    after = scene.now_at()
    began = time.monotonic()
    steps = " ".join(f"step {n} of 16 ok;" for n in range(1, 17))
    await scene.fleet.tell("coder1", f"log build of the login page (kumquat): {steps}")
    event = await scene.from_bot(
        "log", lambda e: "kumquat" in e.text and e.thread is None and "✉" not in e.text, after=after
    )
    need(event.msgtype == "m.notice", f"a log line is {event.msgtype}, so phones ring")
    need(not event.pings, f"a log line pings {event.pings}")
    need("step 16" not in event.text, "the whole log stands in the timeline")
    rest = await scene.from_bot("log", lambda e: e.thread == event.id and "step 16" in e.text, after=after)
    need(not rest.pings and rest.msgtype == "m.notice", "the folded part notifies somebody")
    elsewhere = [
        e for e in scene.operator.seen[after:] if "kumquat" in e.text and e.room != scene.rooms["log"]
    ]
    need(not elsewhere, "the log line shows in another room too")
    return event.at - began, "one silent line in the log room, the rest folded under it"


async def reaction(scene: Scene) -> Told:
    """The orchestrator reacts to a person's message: an emoji on it."""
    after = scene.now_at()
    began = time.monotonic()
    asked = await scene.operator.send(scene.rooms["conversation"], "stub: react 🎉")
    event = await scene.from_bot("conversation", lambda e: e.reaction == (asked, "🎉"), after=after)
    return event.at - began, "🎉 on the person's message"


async def between_agents(scene: Scene) -> Told:
    """One agent writes to another: in its pane, and mirrored in the log room."""
    words = "Please review branch login-2. (tamarind)"
    after = scene.now_at()
    began = time.monotonic()
    await scene.fleet.tell("coder1", f"send reviewer0 {words}")
    shown = await scene.fleet.wait_screen("reviewer0", words, 45)
    mirror = await scene.from_bot(
        "log", lambda e: "tamarind" in e.text and "reviewer0" in e.text, after=after
    )
    need(not mirror.pings, f"the mirror pings {mirror.pings}")
    screen = await scene.fleet.screen("reviewer0")
    need(shows(screen, ":coder1 -> "), "the pane does not say that coder1 wrote")
    scene.show()
    scene.transcript.pane("reviewer0", excerpt(screen, ":coder1 -> "))
    return max(shown, mirror.at) - began, "in reviewer0's pane, mirrored in the log room"


async def report(scene: Scene) -> Told:
    """A report that the schedule posts by itself, with its picture; then that schedule is put to rest."""
    event = await scene.from_bot("reports", lambda e: "readiness" in e.text and e.msgtype != "m.image")
    picture = await scene.from_bot("reports", lambda e: e.msgtype == "m.image")
    data = await scene.operator.fetch(str(picture.content.get("url", "")))
    need(data.startswith(b"\x89PNG"), "the picture is no PNG")
    need(len(picture.text) > 20, f"the picture has no words for those who cannot see it: {picture.text!r}")
    scene.show()
    scene.transcript.line(f"   (the picture is {len(data) / 1000:.0f} kB; in words: {picture.text})")
    after = scene.now_at()
    await scene.operator.send(scene.rooms["ops"], f"!schedule pause {FIRST_REPORT}")
    await scene.from_bot("ops", lambda e: FIRST_REPORT in e.text and "paused" in e.text, after=after)
    since = event.at - scene.bot_started
    return since, f"posted by the schedule (every {REPORT_EVERY_S} s), counted from the bot's start"


async def outsider(scene: Scene) -> Told:
    """What the outsider wrote at the beginning has had no effect at all."""
    # A command after theirs was answered long ago, so theirs has been read; one more makes it certain.
    after = scene.now_at()
    await scene.operator.send(scene.rooms["ops"], "!ping")
    await scene.from_bot("ops", lambda e: "pong" in e.text.lower(), after=after)
    theirs = {e.id for e in scene.operator.seen if e.sender == scene.outsider.user_id}
    need(len(theirs) >= 2, "the outsider's messages did not arrive in the rooms")
    for event in scene.operator.seen:
        if event.sender == scene.bot:
            target = event.reaction[0] if event.reaction else event.reply_to
            need(target not in theirs, f"the bot answered the outsider: {event.text!r}")
    tables = [
        e
        for e in scene.operator.seen
        if e.room == scene.rooms["ops"] and e.sender == scene.bot and is_table(e)
    ]
    need(len(tables) == 1, f"{len(tables)} tables were posted, the operator asked for one")
    screens = await asyncio.gather(*(scene.fleet.screen(name) for name in AGENTS))
    need(not any("walrus" in screen for screen in screens), "the outsider's words reached a pane")
    return None, "two messages of a member without rights: no answer, no reaction, nothing in any pane"


PLAY = (
    ("command", "Command: !fleet ps (an outsider tries it first)", command),
    ("human → orchestrator", "A person writes to the orchestrator", human),
    ("escalation → thread", "coder0 needs a person", escalation),
    ("terminal log", "coder1 logs a build", log_line),
    ("reaction", "The orchestrator reacts", reaction),
    ("agent → agent", "coder1 asks reviewer0", between_agents),
    ("scheduled report", "The schedule posts a report", report),
    ("outsider", "What the outsider got", outsider),
)
