"""Find, parse, permit, confirm, run, audit: the one way a command takes on every surface."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.access import refusal
from bot.commands import help as helping
from bot.commands.audit_file import append_line
from bot.commands.context import Caller, Context, Plan
from bot.commands.failures import CommandFailed
from bot.commands.find import Found, Overview, Unknown, find
from bot.commands.registry import (
    Command,
    Effect,
    HelpWanted,
    UsageError,
    load_handler,
    load_named,
    parse,
)
from bot.document import Code, Document, Text, Tone

if TYPE_CHECKING:
    from bot.commands.confirm import Confirmations
    from bot.services import Services
    from fleet.home import Home
    from fleet.model import Roster, Snapshot

log = logging.getLogger("mosaic.commands")

Ask = Callable[[Plan], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Step:
    """One command on its way: what was found, what it was given, and for whom."""

    command: Command
    args: dict[str, Any]
    caller: Caller
    words: tuple[str, ...]


class Dispatcher:
    """``services`` is None in a terminal. ``ask`` is how a terminal confirms (None: only by `--yes`)."""

    def __init__(
        self,
        *,
        home: Home,
        now: Callable[[], datetime],
        roster: Callable[[], Awaitable[Roster]],
        snapshot: Callable[[], Awaitable[Snapshot]],
        services: Services | None = None,
        ask: Ask | None = None,
        new_ref: Callable[[], str] = lambda: secrets.token_hex(2),
    ) -> None:
        self._home = home
        self._now = now
        self._roster = roster
        self._snapshot = snapshot
        self._services = services
        self._ask = ask
        self._new_ref = new_ref
        self._confirmations: Confirmations | None = None

    def effect_of(self, words: list[str]) -> Effect:
        """Whether these words may be run again after a crash (READ) or not."""
        looked = find(words)
        return looked.command.effect if isinstance(looked, Found) else Effect.READ

    async def run(self, words: list[str], caller: Caller) -> Document:
        """The answer, always a document: what failed says why. Strangers never get here."""
        began = self._now()
        document, outcome, effect = await self._run(words, caller)
        took_ms = max(0, round((self._now() - began).total_seconds() * 1000))
        await self._audit(caller, words, outcome, took_ms, effect)
        return document

    async def _run(self, words: list[str], caller: Caller) -> tuple[Document, str, Effect]:
        prefix = self._prefix(caller)
        looked = find(words)
        match looked:
            case Overview(group):
                shown = helping.help_for([group] if group else [], caller, prefix)
                return shown, "done: help", Effect.READ
            case Unknown(word):
                return helping.unknown(looked, prefix), f"unknown: {word[:40]}", Effect.READ
        command = looked.command
        try:
            args = parse(command, looked.rest)
        except HelpWanted:
            return helping.about(command, prefix), "done: help", Effect.READ
        except UsageError as problem:
            text = f"{problem}\nUsage: `{prefix}{problem.usage}`"
            return Document.failure(text, exit_code=3), f"usage: {problem}", Effect.READ
        step = Step(command, args, caller, tuple(words))
        refused = await self._refusal(step)
        if refused is not None:
            return Document.failure(refused, exit_code=9), "refused: no right", command.effect
        document, outcome = await self._guarded(step, self._permitted(step))
        return self._as_json(document, args), outcome, command.effect

    # --- may it ----------------------------------------------------------------------------------------

    async def _refusal(self, step: Step) -> str | None:
        agent = (await self._roster()).get(step.caller.agent) if step.caller.agent else None
        return refusal(step.command, step.caller, agent.agent_class if agent else None)

    # --- do it -----------------------------------------------------------------------------------------

    async def _permitted(self, step: Step) -> tuple[Document, str]:
        command, args = step.command, step.args
        if command.path in {("yes",), ("no",)}:
            return await self._answered(step)
        if args.get("dry_run"):
            plan = await self._plan(step)
            return Document.line(f"Would: {plan.effect} Nothing was done.", data=_plan_data(plan)), "dry run"
        if command.effect is not Effect.DANGEROUS:
            return await self._do(step), "done"
        plan = await self._plan(step)
        if plan.idle:
            return await self._do(step), "done: nothing to do"
        if args.get("yes") and (step.caller.surface == "cli" or not plan.wide):
            return await self._do(step), "done (--yes)"
        return await self._asked(step, plan)

    async def _asked(self, step: Step, plan: Plan) -> tuple[Document, str]:
        if step.caller.surface == "cli" or self._services is None:
            if self._ask is None:
                text = f"Not confirmed: {plan.effect} Nothing was done. Say `--yes` to do it."
                return Document.failure(text, exit_code=9), "refused: not confirmed"
            if not await self._ask(plan):
                return Document.failure("Refused. Nothing was done.", exit_code=9), "refused by the caller"
            return await self._do(step), "done (confirmed)"
        code = await self._questions().ask(step.caller, step.words, plan.fingerprint)
        prefix = self._prefix(step.caller)
        text = f"⚠️ {plan.effect}\n`{prefix}yes {code}` within 2 min does it, `{prefix}no {code}` does not."
        data = {**_plan_data(plan), "confirm": code, "expires_s": 120}
        return Document((Text(text, Tone.WARN),), data), f"asked {code}"

    async def _answered(self, step: Step) -> tuple[Document, str]:
        """`yes CODE` and `no CODE`."""
        if self._services is None:
            raise CommandFailed("Codes are asked in chat; in a terminal the question is y/N or `--yes`.", 3)
        code = str(step.args["code"]).lower()
        if step.command.path == ("no",):
            told = await self._questions().refuse(code, step.caller)
            return Document.line(told), f"refused {code}"
        waiting = await self._questions().take(code, step.caller)
        looked = find(waiting.argv)
        if not isinstance(looked, Found):
            raise CommandFailed(f"`{' '.join(waiting.argv)}` is no command any more. Nothing was done.")
        args = parse(looked.command, looked.rest)
        again = Step(looked.command, args, step.caller, waiting.argv)
        refused = await self._refusal(again)
        if refused is not None:
            return Document.failure(refused, exit_code=9), "refused: no right"
        plan = await self._plan(again)
        if plan.fingerprint != waiting.fingerprint:
            await self._questions().overtaken(code)
            text = f"Not done: things changed since you were asked. Now it would be: {plan.effect} Ask again."
            return Document.failure(text, exit_code=9), f"overtaken {code}"
        done = await self._do(again)
        return done, f"done (confirmed {code}): {shlex.join(waiting.argv)}"

    async def _do(self, step: Step) -> Document:
        return await load_handler(step.command)(self._context(step.caller), step.args)

    async def _plan(self, step: Step) -> Plan:
        if step.command.plan is None:
            return Plan(f"`{shlex.join(step.words)}`.")
        planned: Plan = await load_named(step.command.plan)(self._context(step.caller), step.args)
        return planned

    async def _guarded(self, step: Step, work: Awaitable[tuple[Document, str]]) -> tuple[Document, str]:
        """Expected failures in words, unexpected ones as a reference into the log."""
        try:
            return await work
        except CommandFailed as problem:
            return Document.failure(str(problem), exit_code=problem.exit_code), f"failed: {problem}"
        except UsageError as problem:
            return Document.failure(str(problem), exit_code=3), f"usage: {problem}"
        except Exception as problem:
            expected = _expected(problem)
            if expected is not None:
                return expected, f"failed: {type(problem).__name__}"
            ref = self._new_ref()
            log.exception("command failed, ref %s: %s", ref, step.command.name, exc_info=problem)
            changed = (
                "Nothing was changed."
                if step.command.effect is Effect.READ
                else "What it changed is unknown: look with `fleet ps`."
            )
            return Document.failure(f"Failed (ref {ref}). {changed}"), f"failed: ref {ref}"

    # --- small duties ----------------------------------------------------------------------------------

    def _prefix(self, caller: Caller) -> str:
        if caller.surface == "cli" or self._services is None:
            return "mosaic "
        return self._services.config.prefix

    def _context(self, caller: Caller) -> Context:
        return Context(
            self._home,
            caller,
            self._now,
            self._roster,
            self._snapshot,
            self._services,
            self._prefix(caller),
        )

    def _questions(self) -> Confirmations:
        if self._confirmations is None:
            from bot.commands.confirm import Confirmations

            assert self._services is not None
            self._confirmations = Confirmations(self._services.register, self._now)
        return self._confirmations

    @staticmethod
    def _as_json(document: Document, args: dict[str, Any]) -> Document:
        if not args.get("json") or not document.ok:
            return document
        text = json.dumps(document.data, ensure_ascii=False, indent=1)
        return Document((Code(text, "json"),), document.data, document.ok, document.exit_code)

    async def _audit(
        self, caller: Caller, words: list[str], outcome: str, took_ms: int, effect: Effect
    ) -> None:
        """Everything in the bot; in a terminal alone acts and refusals (reads would only fill the disk)."""
        place = f"{caller.room} ({caller.surface})" if caller.room else caller.surface
        what = shlex.join(words)[:1000]
        if self._services is not None:
            from fleet.register import audit

            await self._services.register.write(
                lambda tx: audit.append(
                    tx, who=caller.label, place=place, what=what, outcome=outcome[:500], duration_ms=took_ms
                )
            )
        elif effect is not Effect.READ or outcome.startswith("refused"):
            try:
                await asyncio.to_thread(
                    append_line,
                    self._home,
                    self._now(),
                    who=caller.label,
                    place=place,
                    what=what,
                    outcome=outcome[:500],
                    duration_ms=took_ms,
                )
            except OSError as problem:
                log.warning("no audit line could be written: %s", problem)


def _plan_data(plan: Plan) -> dict[str, Any]:
    return {"effect": plan.effect, "targets": list(plan.targets)}


def _expected(problem: Exception) -> Document | None:
    """Failures of the files a person owns: their own words are the answer."""
    from fleet.roster.problem import RosterError

    if isinstance(problem, RosterError):
        return Document.failure(str(problem), exit_code=3)
    if isinstance(problem, PermissionError) and problem.filename:
        return Document.failure(f"{problem.filename} cannot be used: no permission. Mend its owner and mode.")
    return None
