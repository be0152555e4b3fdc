"""`mosaic [yolo] <runtime> [--dry-run] [flags…]`: check, compose the prompt, become the program."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fleet.files import write_atomic
from fleet.home import Home
from fleet.launch.contract import compose_contract
from fleet.launch.trust import TrustError, claude_file, trust
from fleet.launch.waiting import VARIABLE, Waiting, waits

RUNTIMES = ("claude", "codex", "pi", "opencode", "stub", "custom")
REQUIRED_MCP: Mapping[str, Sequence[str]] = {"claude": ("sequential-thinking",)}
CHECK_FAILED = 4
USAGE = 3


class LaunchError(Exception):
    """A check failed; the text is what happened and the mend."""

    def __init__(self, text: str, code: int = CHECK_FAILED) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Launch:
    """What will be executed. ``env`` is added to ours; ``notes`` are lines for the person at the pane."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def runtime_main(
    argv: Sequence[str],
    home: Home,
    *,
    env: Mapping[str, str] | None = None,
    required_mcp: Mapping[str, Sequence[str]] | None = None,
) -> int:
    """Does not return when the program starts. 0 after a dry run, 3 for usage, 4 for a failed check; in the
    pane that the launcher made, a failed check is told to the fleet and tried again until it passes.
    ``required_mcp`` is by default what the configuration's `launch.required_mcp` says."""
    environ = dict(os.environ if env is None else env)
    waiting: Waiting | None = None
    try:
        yolo, runtime, dry_run, flags = parse_words(argv)
        if waits(environ) and not dry_run:
            waiting = Waiting(home, environ["MOSAIC_AGENT_NAME"], runtime)
        checked = partial(_checked, home, runtime, flags, environ, required_mcp, yolo=yolo)
        launch = checked() if waiting is None else _until_it_passes(checked, waiting)
    except LaunchError as problem:
        sys.stderr.write(f"[mosaic] {problem}\n")
        return problem.code
    for note in launch.notes:
        sys.stderr.write(f"[mosaic] {note}\n")
    if dry_run:
        for key, value in launch.env.items():
            sys.stdout.write(f"{key}={shlex.quote(value)} ")
        sys.stdout.write(shlex.join(launch.argv) + "\n")
        return 0
    if runtime == "claude":
        try:
            trust(claude_file(environ), Path.cwd())
        except TrustError as problem:
            name = environ.get("MOSAIC_AGENT_NAME", "")
            sys.stderr.write(f"WARNING: could not pre-trust workdir for claude agent {name} ({problem})\n")
    return _become(launch, environ)


def _checked(
    home: Home,
    runtime: str,
    flags: Sequence[str],
    env: Mapping[str, str],
    required_mcp: Mapping[str, Sequence[str]] | None,
    *,
    yolo: bool,
) -> Launch:
    """What to execute, once everything that it needs is there. Raises LaunchError."""
    check(home, runtime, flags, env, configured_mcp(home) if required_mcp is None else required_mcp)
    prompt_file, prompt = _prompt(home, runtime, env)
    return plan(home, runtime, yolo=yolo, flags=flags, prompt=prompt, prompt_file=prompt_file)


def _until_it_passes(checked: Callable[[], Launch], waiting: Waiting) -> Launch:
    """Raises LaunchError for usage, which no waiting mends."""
    while True:
        try:
            launch = checked()
        except LaunchError as problem:
            if problem.code != CHECK_FAILED:
                raise
            if waiting.failed(str(problem)):
                sys.stderr.write(f"[mosaic] {problem}\n[mosaic] tried again every few seconds; Ctrl-C ends\n")
            waiting.pause()
        else:
            waiting.passed()
            return launch


def parse_words(argv: Sequence[str]) -> tuple[bool, str, bool, list[str]]:
    """(yolo, runtime, dry run, the program's own flags in their order). Raises LaunchError."""
    words = list(argv)
    yolo = words[:1] == ["yolo"]
    if yolo:
        words.pop(0)
    if not words or words[0] not in RUNTIMES:
        given = f", not {words[0]!r}" if words else ""
        raise LaunchError(f"usage: mosaic [yolo] {'|'.join(RUNTIMES)} [--dry-run] [flags…]{given}", USAGE)
    runtime = words.pop(0)
    dry_run = "--dry-run" in words
    if dry_run:
        words.remove("--dry-run")
    return yolo, runtime, dry_run, words


def check(
    home: Home,
    runtime: str,
    flags: Sequence[str],
    env: Mapping[str, str],
    required_mcp: Mapping[str, Sequence[str]] = REQUIRED_MCP,
) -> None:
    """Everything a start needs on this host (ENV-15). Raises LaunchError with the mend."""
    program = program_of(home, runtime, flags)
    if shutil.which(program, path=env.get("PATH")) is None:
        mend = "mosaic init seeds it" if runtime == "stub" else "install it, or put it on PATH"
        raise LaunchError(f"the program {program} is not there; {mend}")
    soul = home.root / "SOUL.md"
    if not soul.is_file():
        raise LaunchError(f"{soul} is missing; mosaic init makes one, then write who your agents are")
    missing = [name for name in required_mcp.get(runtime, ()) if name not in mcp_servers(env)]
    if missing:
        raise LaunchError(
            f"the MCP server {', '.join(missing)} is not configured for {runtime}; add it"
            f" ({runtime} mcp add {missing[0]} …), or take it out of launch.required_mcp in bot/config.yaml"
        )


def program_of(home: Home, runtime: str, flags: Sequence[str]) -> str:
    if runtime == "stub":
        return str(home.root / "agents" / "stub-agent")
    if runtime == "custom":
        words = [word for word in flags if word != "--"]
        if not words:
            raise LaunchError("usage: mosaic custom -- COMMAND [ARGS…]", USAGE)
        return words[0]
    return runtime


def mcp_servers(env: Mapping[str, str]) -> set[str]:
    """Names of the MCP servers in Claude's own file; empty when it cannot be read."""
    try:
        data = json.loads(claude_file(env).read_text("utf-8"))
    except (OSError, ValueError):
        return set()
    servers = data.get("mcpServers") if isinstance(data, dict) else None
    return set(servers) if isinstance(servers, dict) else set()


def configured_mcp(home: Home) -> Mapping[str, Sequence[str]]:
    """`launch.required_mcp` of the configuration, by runtime; the default where it says nothing. A file that
    cannot be read is the bot's to complain about: an agent starts without it."""
    import yaml

    try:
        section = yaml.safe_load(home.config.read_bytes())["launch"]["required_mcp"]
        return {str(runtime): [str(name) for name in names or ()] for runtime, names in section.items()}
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        return REQUIRED_MCP


def plan(
    home: Home, runtime: str, *, yolo: bool, flags: Sequence[str], prompt: str, prompt_file: Path | None
) -> Launch:
    """argv and environment in the way that program takes them. Pure. Raises LaunchError for usage."""
    program = program_of(home, runtime, flags)
    own = list(flags)
    if runtime == "claude":
        skip = "--dangerously-skip-permissions"
        mode = any(word == "--permission-mode" or word.startswith("--permission-mode=") for word in own)
        notes: tuple[str, ...] = ()
        if mode and (yolo or skip in own):
            # the program refuses or misreads the two together (ENV-14): the explicit mode wins
            own = [word for word in own if word != skip]
            notes = ("a permission mode was given: --dangerously-skip-permissions is left out",)
        elif yolo and skip not in own:
            own.insert(0, skip)
        return Launch((program, *own, "--append-system-prompt", prompt), notes=notes)
    if runtime == "codex":
        free = ("-c", 'approval_policy="never"', "-c", 'sandbox_mode="danger-full-access"') if yolo else ()
        # a JSON string is a TOML string too
        told = ("-c", f"developer_instructions={json.dumps(prompt, ensure_ascii=False)}")
        return Launch((program, "--no-daemon", *free, *told, *own))
    if runtime == "pi":
        return Launch((program, "--append-system-prompt", prompt, *own))
    if runtime == "opencode":
        extra = {} if prompt_file is None else {"OPENCODE_CONFIG": str(prompt_file.with_suffix(".json"))}
        return Launch((program, *(("--auto",) if yolo else ()), *own), env=extra)
    if runtime == "stub":
        return Launch((program, *own))
    words = own[1:] if own[:1] == ["--"] else own
    return Launch(tuple(words))


def _prompt(home: Home, runtime: str, env: Mapping[str, str]) -> tuple[Path | None, str]:
    """The prompt, and where it was written for programs that read it from a file."""
    agent = env.get("MOSAIC_AGENT_NAME") or None
    prompt = compose_contract(home, runtime, env.get("MOSAIC_AGENT_CLASS") or None, agent=agent)
    if runtime not in {"opencode", "stub"}:
        return None, prompt
    file = home.run / "contracts" / f"{agent or runtime}.md"
    try:
        write_atomic(file, prompt.encode())
        if runtime == "opencode":
            write_atomic(file.with_suffix(".json"), json.dumps({"instructions": [str(file)]}).encode())
    except OSError as problem:
        raise LaunchError(f"the system prompt cannot be written to {file}: {problem.strerror}") from problem
    return file, prompt


def _become(launch: Launch, env: Mapping[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        own = {key: value for key, value in env.items() if key != VARIABLE}
        os.execvpe(launch.argv[0], list(launch.argv), {**own, **launch.env})  # noqa: S606 - that is the duty
    except OSError as problem:
        sys.stderr.write(f"[mosaic] {launch.argv[0]} cannot be started: {problem.strerror}\n")
        return CHECK_FAILED
