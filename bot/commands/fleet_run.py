"""Running the fleet: start, stop, restart, pause, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bot.commands.agents import one_of, require_here
from bot.commands.context import Context, Plan
from bot.commands.failures import CommandFailed
from bot.document import Bullets, Document, Heading, Text, Tone
from fleet.files import write_atomic
from fleet.host.name import is_here, this_host
from fleet.launch.node_process import ensure_node
from fleet.launch.start import Failed, start_agent, stop_agent
from fleet.model import AgentDef, Roster, Snapshot

Outcome = tuple[bool, str]
PART_DONE = 8
ALREADY = "runs already"


async def start(context: Context, args: dict[str, Any]) -> Document:
    """Start one, or all that are not running, at the same time; the node first where none lives."""
    targets = await _targets(context, args)
    problem = await ensure_node(context.home)
    if problem is not None:
        raise CommandFailed(f"Nothing was started: {problem}.")
    return await _each(targets, lambda agent: _start(context, agent), "started")


async def stop(context: Context, args: dict[str, Any]) -> Document:
    """End exactly these sessions; the node does not start again what a person stopped."""
    targets = await _targets(context, args)
    return await _each(targets, lambda agent: _stop(context, agent), "stopped")


async def restart(context: Context, args: dict[str, Any]) -> Document:
    targets = await _targets(context, args)
    return await _each(targets, lambda agent: _restart(context, agent), "restarted")


async def pause(context: Context, args: dict[str, Any]) -> Document:
    """Dispatch and merges hold; people's messages do not."""
    reason = str(args.get("reason") or "").strip()
    await asyncio.to_thread(write_atomic, context.home.paused, (reason + "\n" if reason else "").encode())
    why = f": {reason}" if reason else ""
    return Document.line(f"⏸ Paused{why}. People can still talk. End it with `{context.prefix}fleet resume`.")


async def resume(context: Context, args: dict[str, Any]) -> Document:
    try:
        await asyncio.to_thread(context.home.paused.unlink)
    except FileNotFoundError:
        return Document.line("The fleet was not paused.")
    return Document.line("▶ Resumed: dispatch and merges go on.", tone=Tone.GOOD)


# --- what each would do ------------------------------------------------------------------------------------


async def plan_start(context: Context, args: dict[str, Any]) -> Plan:
    targets = await _targets(context, args)
    return Plan(f"Start {_list(targets)}.", targets=tuple(a.name for a in targets), wide=not args.get("name"))


async def plan_stop(context: Context, args: dict[str, Any]) -> Plan:
    return await _plan_ending(context, args, "Stop")


async def plan_restart(context: Context, args: dict[str, Any]) -> Plan:
    return await _plan_ending(context, args, "Restart")


async def plan_pause(context: Context, args: dict[str, Any]) -> Plan:
    return Plan("Hold dispatch and merges of the whole fleet.", wide=True)


async def plan_resume(context: Context, args: dict[str, Any]) -> Plan:
    snapshot = await context.snapshot()
    if snapshot.paused is None:
        return Plan("Nothing: the fleet is not paused.", "not paused", idle=True)
    why = f" It was paused for: {snapshot.paused}." if snapshot.paused else ""
    return Plan(f"Let dispatch and merges go on.{why}", f"paused {snapshot.paused}", wide=True)


async def _plan_ending(context: Context, args: dict[str, Any], verb: str) -> Plan:
    targets = await _targets(context, args)
    snapshot = await context.snapshot()
    effect = f"{verb} {_list(targets)}."
    busy = [a.name for a in targets if _in_a_turn(snapshot, a.name)]
    if busy:
        effect += f" In the middle of something: {', '.join(busy)}."
    return Plan(
        effect, _fingerprint(targets, snapshot), tuple(a.name for a in targets), wide=not args.get("name")
    )


def _fingerprint(targets: list[AgentDef], snapshot: Snapshot) -> str:
    """Names with the panes they have now: a restart in between makes it another question."""
    rows = {row.name: row for row in snapshot.agents if row.managed}
    return " ".join(f"{a.name}={rows[a.name].pane_pid if a.name in rows else None}" for a in targets)


def _in_a_turn(snapshot: Snapshot, name: str) -> bool:
    """As its program said itself; a moving pane alone proves no turn."""
    row = next((row for row in snapshot.agents if row.managed and row.name == name), None)
    return row is not None and row.state is not None and row.state.status in {"busy", "blocked"}


# --- doing it ----------------------------------------------------------------------------------------------


async def _targets(context: Context, args: dict[str, Any]) -> list[AgentDef]:
    roster: Roster = await context.roster()
    if args.get("name"):
        agent = one_of(roster, str(args["name"]).removeprefix("="))
        require_here(agent)
        return [agent]
    here = [agent for agent in roster.agents if is_here(agent.host, this_host())]
    if not here:
        raise CommandFailed(f"The roster has no agents on {this_host()}.", 1)
    return here


async def _start(context: Context, agent: AgentDef) -> Outcome:
    result = await start_agent(context.home, agent)
    if isinstance(result, Failed):
        return False, result.reason
    return True, ALREADY if result.already else "started"


async def _stop(context: Context, agent: AgentDef) -> Outcome:
    result = await stop_agent(context.home, agent)
    if isinstance(result, Failed):
        return False, result.reason
    return True, "stopped"


async def _restart(context: Context, agent: AgentDef) -> Outcome:
    stopped, text = await _stop(context, agent)
    if not stopped:
        return False, text
    ok, text = await _start(context, agent)
    return ok, "restarted" if ok else text


async def _each(
    targets: list[AgentDef], work: Callable[[AgentDef], Awaitable[Outcome]], word: str
) -> Document:
    outcomes = await asyncio.gather(*(work(agent) for agent in targets))
    failed = {a.name: text for a, (ok, text) in zip(targets, outcomes, strict=True) if not ok}
    done: dict[str, list[str]] = {}
    for agent, (ok, text) in zip(targets, outcomes, strict=True):
        if ok:
            done.setdefault(text, []).append(agent.name)
    told = " ".join(f"{text.capitalize()}: {', '.join(names)}." for text, names in done.items())
    data = {
        word: done.get(word, []),
        **({ALREADY: done[ALREADY]} if ALREADY in done else {}),
        "failed": failed,
    }
    if not failed:
        return Document.line(told, tone=Tone.GOOD, data=data)
    lines = Bullets(tuple(f"{name}: {text}" for name, text in failed.items()))
    if not done:
        return Document((Text(f"Not {word}:", Tone.BAD), lines), data, ok=False, exit_code=1)
    return Document((Heading(f"{told} Not {word}:"), lines), data, ok=False, exit_code=PART_DONE)


def _list(targets: list[AgentDef]) -> str:
    names = [agent.name for agent in targets]
    return names[0] if len(names) == 1 else f"{len(names)} agents: {', '.join(names)}"
