from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet.home import Home
from fleet.launch.comms import CommsMiss, comms_block
from fleet.launch.contract import compose_contract
from fleet.launch.env import EnvError, line, merge, write_env
from fleet.launch.runtime import LaunchError, parse_words, plan, runtime_main
from fleet.launch.trust import TrustError, claude_file, trust
from fleet.model import AgentDef, Roster
from framework.seed import SeedError, presets, seed

AGENT = AgentDef("coder0", "codex", working_directory="~/src", socket="mosaic-fleet")
GENERATED = (
    b"MOSAIC_AGENT_NAME=coder0\nMOSAIC_AGENT_RUNTIME=codex\nMOSAIC_AGENT_MODEL=\n"
    b"MOSAIC_AGENT_WORKDIR=~/src\nMOSAIC_TMUX_SOCKET=mosaic-fleet\n"
)


def test_a_new_env_file_is_the_generated_block() -> None:
    assert merge(AGENT, b"") == GENERATED


def test_the_operators_lines_stay_in_bytes_and_order() -> None:
    theirs = b"# site note\r\nX=1\n\nMOSAIC_AGENT_COMMAND='my script'\nexport Y=\xff"
    old = b"# first\nMOSAIC_AGENT_WORKDIR=/old\n" + theirs
    assert merge(AGENT, old) == GENERATED + b"# first\n" + theirs + b"\n"
    assert merge(AGENT, merge(AGENT, old)) == merge(AGENT, old)


def test_optional_keys_only_where_the_roster_has_them() -> None:
    full = AgentDef(
        "a", "claude", model_hint="opus", yolo=False, command="run me", channels="plugin:discord@ops"
    )
    assert merge(full, b"MOSAIC_AGENT_COMMAND=old\n").decode().splitlines()[2:] == [
        "MOSAIC_AGENT_MODEL=opus",
        "MOSAIC_AGENT_WORKDIR=~/src",
        "MOSAIC_TMUX_SOCKET=",
        "MOSAIC_AGENT_YOLO=false",
        "MOSAIC_AGENT_COMMAND='run me'",
        "MOSAIC_AGENT_CHANNELS=plugin:discord@ops",
    ]


@pytest.mark.parametrize("value", ["it's", "two\nlines"])
def test_values_that_would_be_read_differently_are_refused(value: str) -> None:
    with pytest.raises(EnvError, match="MOSAIC_AGENT_COMMAND"):
        line("MOSAIC_AGENT_COMMAND", value)


def test_an_env_file_is_written_only_when_it_changes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert write_env(home, AGENT)
    before = home.env_file("coder0").stat().st_ino
    assert not write_env(home, AGENT)
    assert home.env_file("coder0").stat().st_ino == before


def test_where_claude_keeps_its_file() -> None:
    env = {"MOSAIC_CLAUDE_JSON": "/a.json", "CLAUDE_CONFIG_DIR": "/b", "HOME": "/c"}
    assert claude_file(env) == Path("/a.json")
    del env["MOSAIC_CLAUDE_JSON"]
    assert claude_file(env) == Path("/b/.claude.json")
    del env["CLAUDE_CONFIG_DIR"]
    assert claude_file(env) == Path("/c/.claude.json")


def test_trust_keeps_everything_else_and_the_mode(tmp_path: Path) -> None:
    file, real, link = tmp_path / "c.json", tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    file.write_text(json.dumps({"a": 1, "projects": {str(real): {"b": 2}, "/x": {}}}))
    file.chmod(0o640)
    assert trust(file, link)
    assert json.loads(file.read_text()) == {
        "a": 1,
        "projects": {str(real): {"b": 2, "hasTrustDialogAccepted": True}, "/x": {}},
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    before = (file.stat().st_ino, file.stat().st_mtime_ns)
    assert not trust(file, real)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == before


@pytest.mark.parametrize("text", ['{"projects": {', "[]", '{"projects": []}'])
def test_trust_leaves_what_it_cannot_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(TrustError, match="left as it is"):
        trust(file, tmp_path)
    assert file.read_text() == text
    assert not list(tmp_path.glob(".claude.json.mosaic.*"))


def test_twenty_at_once_leave_twenty_records(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    folders = [tmp_path / str(number) for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda folder: trust(file, folder), folders))
    assert set(json.loads(file.read_text())["projects"]) == {str(folder) for folder in folders}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    seed(home, roster="demo")
    return home


def test_seeding_keeps_what_is_the_operators(home: Home) -> None:
    assert seed(home, roster="demo") == []
    soul, role = home.root / "SOUL.md", home.fleet / "roles" / "code.md"
    soul.write_text("mine")
    home.roster.write_text("mine")
    (role.parent / "code.local.md").write_text("mine")
    home.send_tool.write_text("broken")
    assert seed(home, roster="team") == ["tools/tmux/agent-send.sh"]
    assert (soul.read_text(), home.roster.read_text()) == ("mine", "mine")
    assert os.access(home.send_tool, os.X_OK)
    assert os.access(home.root / "agents" / "stub-agent", os.X_OK)
    assert (home.root / ".framework-version").read_text().strip() == "100"
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_seeding_says_what_is_wrong(home: Home, tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="demo"):
        seed(home, roster="nosuch")
    (tmp_path / "file").write_text("")
    with pytest.raises(SeedError, match="folder"):
        seed(Home(tmp_path / "file" / "home"))
    assert set(presets()) == {"minimal", "local-canary", "solo", "team", "two-host", "full-floor", "demo"}


ROSTER = Roster(
    (
        AgentDef("orchestrator", "stub", "orchestrator", socket="mosaic-fleet"),
        AgentDef("coder0", "stub"),
        AgentDef("coder1", "stub", host="build-2", ssh="dev@192.0.2.10", socket="s"),
    ),
    tenant_id="t",
)


def block(role: str = "coder0", host: str = "here") -> str:
    return comms_block(ROSTER, role, host=host, send="/h/agent-send.sh", path="/h/roster.yaml")


def test_the_comms_block_has_the_exact_commands() -> None:
    text = block()
    assert text.startswith("# Fleet Comms")
    assert "`[here:coder0]`" in text
    assert (
        '| orchestrator | orchestrator | `/h/agent-send.sh -L mosaic-fleet -s orchestrator -m "…"` |' in text
    )
    assert '`/h/agent-send.sh -L s -H dev@192.0.2.10 -s coder1 -m "…"`' in text
    assert "| coder0 |" not in text
    assert "FLIP" in text
    assert "--verify" in text


def test_a_peer_on_the_same_far_host_is_local_there() -> None:
    assert '`/h/agent-send.sh -L s -s coder1 -m "…"`' in block("orchestrator", host="build-2")


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("nosuch", 'role "nosuch" is not a member of the fleet roster at /h/roster.yaml'),
        ("", "comms-block requires a <role> argument"),
    ],
)
def test_no_comms_block(role: str, text: str) -> None:
    with pytest.raises(CommsMiss) as caught:
        block(role)
    assert str(caught.value) == text


def test_the_contract_holds_all_parts_and_overlays(home: Home) -> None:
    (home.root / "USER.md").write_text("They like tea.")
    (home.root / "CONSTITUTION.local.md").write_text("House rule.")
    (home.fleet / "roles" / "code.local.md").write_text("Local habit.")
    text = compose_contract(home, "stub", None, roster=ROSTER, agent="coder0")
    places = [
        text.index(part) for part in ("# Constitution", "House rule.", "# Soul", "They like tea.", "# Tools")
    ]
    places += [text.index(part) for part in ("# Code", "Local habit.", "# Fleet Comms")]
    assert places == sorted(places)
    assert "must_not" not in text
    assert "# Fleet Comms" not in compose_contract(home, "stub", "code", roster=ROSTER, agent="stranger")
    assert "# Code" in compose_contract(home, "stub", "a-class-of-ours")


def test_the_contract_is_that_of_the_agent_who_asks(home: Home) -> None:
    """As `mosaic compose-contract` prints it: by the agent's name, or by the one that the pane carries."""
    home.roster.write_text(
        "version: 1\ntransport: tmux\nagents:\n"
        "  - {name: lead, class: orchestrator, runtime: stub}\n"
        "  - {name: coder0, class: code, runtime: stub}\n"
    )
    own = compose_contract(home, "stub", env={"MOSAIC_AGENT_NAME": "coder0"})
    assert own == compose_contract(home, "stub", "coder0", env={})
    assert "# Code" in own
    assert "| lead | orchestrator |" in own
    for role, env in (("code", {}), (None, {}), (None, {"MOSAIC_AGENT_NAME": "stranger"})):
        assert "# Fleet Comms" not in compose_contract(home, "stub", role, env=env)
    home.roster.write_text("version: 7\n")
    assert "# Fleet Comms" not in compose_contract(home, "stub", env={"MOSAIC_AGENT_NAME": "coder0"})


def test_words_of_a_launch() -> None:
    assert parse_words(["yolo", "claude", "--foo", "--dry-run", "x"]) == (
        True,
        "claude",
        True,
        ["--foo", "x"],
    )
    for words in ([], ["yolo"], ["vim"]):
        with pytest.raises(LaunchError) as caught:
            parse_words(words)
        assert caught.value.code == 3


def argv(home: Home, runtime: str, *flags: str, yolo: bool = True) -> tuple[str, ...]:
    return plan(home, runtime, yolo=yolo, flags=flags, prompt="P", prompt_file=Path("/p.md")).argv


def test_argv_of_each_program(home: Home) -> None:
    skip = "--dangerously-skip-permissions"
    assert argv(home, "claude", "--foo", "x") == ("claude", skip, "--foo", "x", "--append-system-prompt", "P")
    assert skip not in argv(home, "claude", "--permission-mode", "plan")
    assert skip not in argv(home, "claude", skip, "--permission-mode=plan", yolo=False)
    assert skip not in argv(home, "claude", yolo=False)
    assert argv(home, "codex", yolo=False) == ("codex", "--no-daemon", "-c", 'developer_instructions="P"')
    assert 'approval_policy="never"' in argv(home, "codex")
    assert argv(home, "pi", "-c") == ("pi", "--append-system-prompt", "P", "-c")
    assert argv(home, "opencode") == ("opencode", "--auto")
    assert argv(home, "stub", "--model", "m") == (str(home.root / "agents" / "stub-agent"), "--model", "m")
    assert argv(home, "custom", "--", "my", "-x") == ("my", "-x")


def test_checks_fail_with_the_mend(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert runtime_main(["yolo", "claude"], home, env=env) == 4
    assert "claude is not there" in capsys.readouterr().err
    (tmp_path / "claude").write_text("#!/bin/sh\n")
    (tmp_path / "claude").chmod(0o755)
    assert runtime_main(["yolo", "claude"], home, env=env) == 4
    assert "sequential-thinking" in capsys.readouterr().err
    (tmp_path / ".claude.json").write_text('{"mcpServers": {"sequential-thinking": {}}}')
    assert runtime_main(["yolo", "claude", "--dry-run", "--model", "opus"], home, env=env) == 0
    assert capsys.readouterr().out.startswith(
        "claude --dangerously-skip-permissions --model opus --append-system"
    )
    (tmp_path / ".claude.json").unlink()
    home.config.parent.mkdir(exist_ok=True)
    home.config.write_text("launch: {required_mcp: {claude: [tea]}}\n")
    assert runtime_main(["claude", "--dry-run"], home, env=env) == 4
    assert "MCP server tea" in capsys.readouterr().err
    home.config.write_text("launch: {required_mcp: {claude: []}}\n")
    assert runtime_main(["claude", "--dry-run"], home, env=env) == 0
    (home.root / "SOUL.md").unlink()
    assert runtime_main(["stub", "--dry-run"], home, env=env) == 4
    assert "SOUL.md" in capsys.readouterr().err
