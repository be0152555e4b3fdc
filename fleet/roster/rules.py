"""What a roster says as a whole: defaults applied, rules over several values, notes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fleet.model import AgentDef, Lifecycle, Roster
from fleet.roster import words
from fleet.roster.models import AgentModel, RosterModel
from fleet.roster.problem import Problem
from fleet.roster.text import KeyPath, show_path

LineOf = Callable[[KeyPath], int | None]


def build(model: RosterModel, *, unix_user: str, file: Path, line_of: LineOf) -> tuple[Roster, list[Problem]]:
    """The roster with every default applied, and the mistakes that show only in the whole.

    The roster of a list with mistakes is not to be used.
    """
    tenant = model.tenant_id or unix_user
    named = model.tmux.socket_name or ""
    socket = _socket(named)
    agents = tuple(_agent(agent, model, socket=socket, tenant=tenant) for agent in model.agents)
    problems = list(_problems(model, agents, file=file, line_of=line_of))
    roster = Roster(
        agents=agents,
        tenant_id=tenant,
        socket=socket,
        holder_session=model.tmux.holder_session,
        notes=tuple(_notes(model, agents, named)),
    )
    return roster, problems


def _socket(name: str) -> str:
    """tmux's own name for its default socket is `default`: the same server, so the same empty name here."""
    return "" if name == "default" else name


def _agent(agent: AgentModel, model: RosterModel, *, socket: str, tenant: str) -> AgentDef:
    runtime_table = model.runtimes.get(agent.runtime)
    lifecycle = Lifecycle(agent.lifecycle or "core")
    core = lifecycle is Lifecycle.CORE
    given = agent.agent_class or "code"
    return AgentDef(
        name=agent.name,
        runtime=agent.runtime,
        agent_class=words.CLASS_ALIASES.get(given, given),
        alias=agent.alias,
        model_hint=agent.model_hint,
        host=agent.host,
        ssh=agent.ssh,
        socket=socket if agent.socket is None else _socket(agent.socket),
        working_directory=agent.working_directory or model.defaults.working_directory,
        yolo=agent.yolo,
        command=agent.command,
        channels=agent.channels,
        account=agent.account,
        lifecycle=lifecycle,
        restart=agent.restart or ("on-failure" if core else "never"),
        on_restart=agent.on_restart or ("resume" if core else "fresh"),
        permissions=agent.permissions or ("ask" if agent.yolo is False else "yolo"),
        reset_command=runtime_table.reset_command if runtime_table else None,
        tenant_id=agent.tenant_id or tenant,
    )


def _problems(
    model: RosterModel, agents: tuple[AgentDef, ...], *, file: Path, line_of: LineOf
) -> Iterator[Problem]:
    def problem(path: KeyPath, text: str, mend: str) -> Problem:
        return Problem(file, line_of(path), show_path(path), text, mend)

    first: dict[str, int] = {}
    leads: dict[str, int] = {}
    for index, (written, agent) in enumerate(zip(model.agents, agents, strict=True)):
        at: KeyPath = ("agents", index)
        if agent.name in first:
            where = show_path(("agents", first[agent.name]))
            yield problem(
                (*at, "name"), f"`{agent.name}` is already {where}", "Names are unique; rename one."
            )
        first.setdefault(agent.name, index)
        if agent.name == model.tmux.holder_session:
            text = f"`{agent.name}` is the holder's session"
            yield problem((*at, "name"), text, "Rename the agent or set tmux.holder_session.")
        if agent.runtime == "custom" and not agent.command:
            text = "runtime custom has no command"
            yield problem((*at, "runtime"), text, "Add `command:` with the program to run.")
        unlike = written.yolo is not None and written.yolo != (written.permissions == "yolo")
        if written.permissions and unlike:
            said = f"yolo: {str(written.yolo).lower()}"
            text = f"`permissions: {written.permissions}` and `{said}` disagree"
            yield problem((*at, "permissions"), text, "Keep one of them.")
        if agent.agent_class == "orchestrator":
            if agent.tenant_id in leads:
                other = leads[agent.tenant_id]
                yield problem((*at, "class"), *_two_leads(model, other, index))
            leads.setdefault(agent.tenant_id, index)


def _two_leads(model: RosterModel, one: int, two: int) -> tuple[str, str]:
    names = f"`{model.agents[one].name}` and `{model.agents[two].name}`"
    classes = {model.agents[one].agent_class, model.agents[two].agent_class}
    mend = "A fleet has one orchestrator; give the other another class."
    if "planner" in classes:
        return f"{names} are both orchestrators (class planner reads as orchestrator)", mend
    return f"{names} are both orchestrators", mend


def _notes(model: RosterModel, agents: tuple[AgentDef, ...], named: str) -> Iterator[str]:
    if named == "default":
        yield "tmux.socket_name `default` is tmux's own default socket; leave the key out to say so."
    aliases: dict[str, str] = {}
    for written, agent in zip(model.agents, agents, strict=True):
        given = written.agent_class
        if given and given not in words.CLASSES and given not in words.CLASS_ALIASES:
            yield f"Agent {agent.name}: class `{given}` is not of the library; it has a worker's rights."
        if agent.ssh and not agent.host:
            yield f"Agent {agent.name} has ssh but no host, so it is taken as an agent of this host."
        if agent.alias:
            if agent.alias in aliases:
                yield f"Agents {aliases[agent.alias]} and {agent.name} share the alias {agent.alias}."
            aliases.setdefault(agent.alias, agent.name)
    yield from _floor(agents)


def _floor(agents: tuple[AgentDef, ...]) -> Iterator[str]:
    """The floor (ROS-19): one orchestrator and at least one enhancer, for each tenant."""
    tenants = {agent.tenant_id for agent in agents} or {""}
    for tenant in sorted(tenants):
        classes = [agent.agent_class for agent in agents if agent.tenant_id == tenant]
        whose = f" (tenant {tenant})" if len(tenants) > 1 else ""
        if "orchestrator" not in classes:
            yield f"Below the floor{whose}: no orchestrator, so plain messages of people reach nobody."
        if "enhancer" not in classes:
            yield f"Below the floor{whose}: no enhancer."
