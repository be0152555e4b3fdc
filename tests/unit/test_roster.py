"""The roster file: what loads, what it means, and that every mistake names line, key and mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.model import Lifecycle, Roster
from fleet.roster.load import RosterError, load_roster, parse_roster
from fleet.roster.schema import json_schema
from fleet.roster.words import CLASSES, RUNTIMES

FILE = Path("roster.yaml")
HEAD = "version: 1\ntransport: tmux\n"
PAIR = """agents:
  - {name: orchestrator, class: orchestrator, runtime: stub}
  - {name: enhancer, class: enhancer, runtime: stub}
"""


def load(text: str) -> Roster:
    return parse_roster(text.encode(), FILE, user="ana")


def mistakes(text: str | bytes) -> list[tuple[int | None, str, str]]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(RosterError) as caught:
        parse_roster(data, FILE)
    assert caught.value.problems
    assert str(FILE) in str(caught.value)
    return [(p.line, p.key, f"{p.text} {p.mend}") for p in caught.value.problems]


def test_the_shortest_roster_gets_every_default() -> None:
    roster = load(HEAD + "agents:\n  - name: solo\n    runtime: pi\n")
    (agent,) = roster.agents
    assert (agent.agent_class, agent.socket, agent.working_directory) == ("code", "", "~/src")
    assert (agent.lifecycle, agent.restart, agent.on_restart) == (Lifecycle.CORE, "on-failure", "resume")
    assert (agent.yolo, agent.command, agent.channels, agent.permissions) == (None, None, None, "yolo")
    assert (roster.tenant_id, agent.tenant_id, roster.holder_session) == ("ana", "ana", "_holder")


def test_an_absent_socket_is_the_default_socket_and_so_is_tmux_s_own_name_for_it() -> None:
    assert load(HEAD + PAIR).socket == ""
    named = load(HEAD + "tmux: {socket_name: default}\n" + PAIR)
    assert named.socket == ""
    assert any("default" in note for note in named.notes)


def test_both_spellings_mean_the_same() -> None:
    snake = "tmux: {socket_name: s1, holder_session: h}\ndefaults: {working_directory: /w}\n"
    camel = "tmux: {socketName: s1, holderSession: h}\ndefaults: {workingDirectory: /w}\n"
    one = "runtimes: {codex: {reset_command: /clear}}\nagents: [{name: a, runtime: codex, model_hint: m}]\n"
    two = "runtimes: {codex: {resetCommand: /clear}}\nagents: [{name: a, runtime: codex, modelHint: m}]\n"
    first, second = load(HEAD + snake + one), load(HEAD + camel + two)
    assert first == second
    assert first.agents[0].reset_command == "/clear"
    assert first.agents[0].socket == "s1"


def test_yaml_and_json_give_the_same_roster() -> None:
    body = {"version": 1, "transport": "tmux", "agents": [{"name": "a", "runtime": "pi", "alias": "Ä\t"[0]}]}
    as_json = json.dumps(body, indent="\t", ensure_ascii=False)
    assert load(as_json) == load(HEAD + "agents: [{name: a, runtime: pi, alias: Ä}]\n")


def test_an_agent_s_own_socket_wins_and_may_be_the_default_one() -> None:
    text = HEAD + "tmux: {socket_name: s1}\nagents:\n"
    text += "  - {name: a, runtime: pi, socket: s2}\n  - {name: b, runtime: pi, socket: ''}\n"
    text += "  - {name: c, runtime: pi}\n"
    assert [agent.socket for agent in load(text).agents] == ["s2", "", "s1"]


def test_old_class_names_read_as_new_ones_and_foreign_ones_are_only_noted() -> None:
    rows = "".join(
        f"  - {{name: a{n}, runtime: pi, class: {word}}}\n"
        for n, word in enumerate(["implementer", "worker", "planner", "astronomer"])
    )
    roster = load(HEAD + "agents:\n" + rows)
    assert [a.agent_class for a in roster.agents] == ["code", "code", "orchestrator", "astronomer"]
    assert [note for note in roster.notes if "astronomer" in note]
    assert not [note for note in roster.notes if "no orchestrator" in note]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_loads(runtime: str) -> None:
    agent = load(HEAD + f"agents: [{{name: a, runtime: {runtime}, command: prog}}]\n").agents[0]
    assert agent.runtime == runtime


def test_the_floor_is_noted_and_full_floors_are_silent() -> None:
    assert load(HEAD + PAIR).notes == ()
    notes = load(HEAD + "agents: []\n").notes
    assert any("orchestrator" in note for note in notes)
    assert any("enhancer" in note for note in notes)


@pytest.mark.parametrize(
    ("yolo", "permissions", "meant"),
    [("false", None, "ask"), ("true", None, "yolo"), (None, "chat", "chat"), ("false", "chat", "chat")],
)
def test_permissions_follow_yolo_where_absent(yolo: str | None, permissions: str | None, meant: str) -> None:
    extra = f", yolo: {yolo}" if yolo else ""
    extra += f", permissions: {permissions}" if permissions else ""
    assert load(HEAD + f"agents: [{{name: a, runtime: pi{extra}}}]\n").agents[0].permissions == meant


def test_keys_of_one_s_own_and_empty_keys_are_left_alone() -> None:
    text = HEAD + "x-team: {any: [thing]}\ntenant_id:\nagents:\n"
    text += "  - {name: a, runtime: pi, x-note: hello, alias: }\n"
    assert load(text).agents[0].alias is None


MISTAKES = [
    ('agents:\n  - {name: "a\\nb", runtime: pi}\n', 4, "agents[0].name", "small letters"),
    ("agents:\n  - {name: a, runtme: pi}\n", 4, "agents[0].runtme", "runtime"),
    ("agent:\n  - {name: a}\n", 3, "agent", "agents"),
    ("tmux: {socket: x}\nagents: []\n", 3, "tmux.socket", "socket_name"),
    ("agents:\n  - name: a\n    runtime: claud\n", 5, "agents[0].runtime (a)", "claude"),
    ("agents:\n  - name: Coder\n    runtime: pi\n", 4, "agents[0].name", "small letters"),
    ("agents:\n  - name: 12\n    runtime: pi\n", 4, "agents[0].name", "quotes"),
    ("agents:\n  - name: chat\n    runtime: pi\n", 4, "agents[0].name", "address"),
    ("agents:\n  - name: a\n    runtime: pi\n    yolo: 'true'\n", 6, "agents[0].yolo (a)", "without quotes"),
    ("agents:\n  - name: a\n    runtime: custom\n", 5, "agents[0].runtime", "command"),
    ("agents:\n  - name: a\n    runtime: pi\n    ssh: -oProxyCommand=x\n", 6, "agents[0].ssh (a)", "dash"),
    ("agents:\n  - name: a\n    runtime: pi\n    socket: ../x\n", 6, "agents[0].socket (a)", "path"),
    ("agents:\n  - name: a\n    runtime: pi\n  - name: a\n    runtime: pi\n", 6, "agents[1].name", "unique"),
    ("agents:\n  - name: a\n    runtime: pi\n    runtime: pi\n", 6, "agents[0].runtime", "twice"),
    ("agents:\n  - name: a\n", 4, "agents[0].runtime (a)", "Add"),
    ("agents:\n  - oops\n", 4, "agents[0]", "mapping"),
    (
        "agents:\n  - {name: a, runtime: pi, yolo: true, permissions: ask}\n",
        4,
        "agents[0].permissions",
        "Keep one",
    ),
    ("tmux: {holder_session: a}\nagents:\n  - {name: a, runtime: pi}\n", 5, "agents[0].name", "holder"),
    ("agents:\n  - {name: a, runtime: pi, model_hint: x, modelHint: y}\n", 4, "agents[0].modelHint", "both"),
    ('agents:\n  - {name: a, runtime: pi, command: "a\\nb"}\n', 4, "agents[0].command (a)", "one line"),
]


@pytest.mark.parametrize(("text", "line", "key", "mend"), MISTAKES)
def test_a_mistake_names_line_key_and_mend(text: str, line: int, key: str, mend: str) -> None:
    found = mistakes(HEAD + text)
    assert (line, key) == found[0][:2]
    assert mend in found[0][2]


def test_two_orchestrators_are_named_also_when_one_is_a_planner() -> None:
    rows = "agents:\n  - {name: a, class: orchestrator, runtime: pi}\n"
    rows += "  - {name: b, class: planner, runtime: pi}\n"
    ((line, key, said),) = mistakes(HEAD + rows)
    assert (line, key) == (5, "agents[1].class")
    assert all(word in said for word in ("`a`", "`b`", "planner"))


@pytest.mark.parametrize(
    ("head", "supported"),
    [("version: 2\ntransport: tmux\n", "version: 1"), ("version: 1\ntransport: ssh\n", "tmux")],
)
def test_another_version_or_transport_names_the_supported_one(head: str, supported: str) -> None:
    assert supported in mistakes(head + "agents: []\n")[0][2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# nothing\n",
        b"[1, 2]",
        b"just words",
        b"version: [",
        b'{"version": 1,,}',
        b"\xff\xfe\x00v",
        b"\x00\x01\x02",
        b"a: &a [*a]",
        b"[" * 5000,
        b"a: " + b"{a: " * 500,
        b"version: 2026-13-45",
        b"? [1, 2]\n: 3\n",
    ],
)
def test_what_is_no_roster_is_one_clear_error(data: bytes) -> None:
    assert mistakes(data)


def test_aliases_that_describe_a_giant_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "aliases" in mistakes("\n".join(lines))[0][2]


def test_a_missing_a_huge_and_a_folder_file_say_so(tmp_path: Path) -> None:
    for name, make, word in (
        ("none", lambda path: None, "does not exist"),
        ("huge", lambda path: path.write_bytes(b"#" * 1_000_001), "1 MB"),
        ("folder", lambda path: path.mkdir(), "cannot be read"),
    ):
        path = tmp_path / name
        make(path)
        with pytest.raises(RosterError, match=word) as caught:
            load_roster(path)
        assert str(path) in str(caught.value)


def test_the_schema_claims_no_default_for_the_socket() -> None:
    schema = json_schema()
    assert schema["$defs"]["TmuxModel"]["properties"]["socket_name"].get("default") in {None, ""}
    assert set(schema["required"]) == {"version", "transport", "agents"}
    assert "class" in schema["$defs"]["AgentModel"]["properties"]


def test_the_library_has_fourteen_classes() -> None:
    assert len(set(CLASSES)) == 14


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: (HEAD + "agents:\n" + t).encode()))
)
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    said = ""
    try:
        parse_roster(data, FILE)
    except RosterError as problem:
        said = str(problem)
    assert "\n" not in said
