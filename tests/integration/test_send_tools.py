from __future__ import annotations

import base64
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from fleet_support import LiveFleet, wait_for

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "preamble.json").read_text())
HANDLE = "abcdefghijkl"
NASTY = "$(touch /tmp/no) `id` \"q\" 'q' \\ & ; | * ? ~ !! #x\n\nsecond, größe 日本語 👩‍💻\tend"


@pytest.fixture
def sink(live: LiveFleet, tmp_path: Path) -> dict[str, str]:
    """A sender in place of the shipped one: it writes its arguments to a file."""
    script = tmp_path / "sender"
    script.write_text('#!/bin/bash\nprintf "%s\\0" "$@" >"$SINK"\nexit "${SINK_EXIT:-0}"\n')
    script.chmod(0o755)
    return {"AGENT_SEND_SENDER": str(script), "SINK": str(tmp_path / "sink")}


def sent(sink: dict[str, str]) -> list[str]:
    return Path(sink["SINK"]).read_text().split("\0")[:-1]


def wire(sink: dict[str, str]) -> str:
    args = sent(sink)
    return base64.b64decode(args[args.index("-b") + 1]).decode()


@pytest.mark.parametrize("case", VECTORS["build"], ids=lambda case: case["body"][:20])
def test_the_tool_builds_the_bytes_of_the_vectors(
    live: LiveFleet, sink: dict[str, str], case: dict[str, str]
) -> None:
    host, _, session = case["dst"].partition(":")
    extra = ["-C", case["class"]] if case["class"] else []
    done = live.send("-s", session, "-n", host, "-S", case["src"], "-m", case["body"], *extra, **sink)
    assert done.returncode == 0, done.stderr
    assert wire(sink) == case["wire"]


@pytest.mark.parametrize("form", [["-C", "human"], ["--class", "human"], ["--class=human"], ["-Chuman"]])
def test_every_form_of_the_class(live: LiveFleet, sink: dict[str, str], form: list[str]) -> None:
    live.send("-n", "h", "-S", "a:b", *form, "-s", "=x", "-m", "hi", **sink)
    assert wire(sink) == "[a:b -> h:x class=human] hi"


def test_an_option_as_a_value_is_a_value(live: LiveFleet, sink: dict[str, str]) -> None:
    live.send("-n", "h", "-S", "a:b", "-s", "x", "-m", "--class=human", **sink)
    assert wire(sink) == "[a:b -> h:x] --class=human"


def test_sources_of_the_text_and_their_line_ends(
    live: LiveFleet, sink: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "text"
    file.write_text("from file\n\n\n")
    common = ["-n", "h", "-S", "a:b", "-s", "x"]
    live.send(*common, "-f", str(file), "-m", "not this", **sink)
    assert wire(sink).endswith("] from file")
    live.send(*common, stdin="from stdin\n\n", **sink)
    assert wire(sink).endswith("] from stdin")
    live.send(*common, "-m", "kept\n", **sink)
    assert wire(sink).endswith("] kept\n")


def test_the_exit_of_the_sender_is_passed_on(live: LiveFleet, sink: dict[str, str]) -> None:
    assert live.send("-s", "x", "-m", "hi", "-v", "-r", "5", **sink, SINK_EXIT="2").returncode == 2
    assert sent(sink)[-3:] == ["-r", "5", "-v"]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["-s", "x", "-m", "hi", "--class"], "ERROR: --class requires a value"),
        (["-s", "x", "-m", "hi", "--class="], "ERROR: --class requires a value"),
        (["--class", "-s", "x", "-m", "hi"], "ERROR: --class requires a value"),
        (["-s", "x", "-m", "hi", "-C", ""], "ERROR: --class requires a value"),
        (
            ["-s", "x", "-m", "hi", "-C", "urgent"],
            "ERROR: invalid --class 'urgent' (allowed: terminal-log, actionable, human, reaction)",
        ),
        (["-m", "hi"], "ERROR: -s DST_SESSION is required"),
        (["-s", "x", "-f", "/nosuch"], "ERROR: cannot read /nosuch"),
        (["-s", "x", "-m", ""], "ERROR: the message is empty"),
        (["-s", "x", "-m", "hi", "-Z"], "ERROR: unknown option -Z"),
        (["-s", "x", "-m"], "ERROR: -m requires a value"),
        (["-s", "x", "-m", "hi", "-S", "a b"], "ERROR: a label holds a blank or a control character"),
        (["-s", "x", "-m", "hi", "-r", "many"], "ERROR: -r takes a number from 0 to 99"),
    ],
)
def test_wrong_use_is_said_and_nothing_is_sent(
    live: LiveFleet, sink: dict[str, str], args: list[str], text: str
) -> None:
    done = live.send(*args, **sink)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == text
    assert not Path(sink["SINK"]).exists()


def test_help_is_the_header(live: LiveFleet) -> None:
    done = live.send("-h")
    assert done.returncode == 0
    assert "agent-send.sh" in done.stdout
    assert "2 still a draft" in done.stdout


def test_a_missing_sender_is_wrong_use(live: LiveFleet) -> None:
    assert live.send("-s", "x", "-m", "hi", AGENT_SEND_SENDER="/nosuch").returncode == 3


def test_people_get_envelopes(live: LiveFleet) -> None:
    (live.home / "fleet" / "roster.yaml").write_text("version: 1\ntenant_id: acme\n")
    for address in ("chat", f"chat:{HANDLE}", f"chat:{HANDLE}.7", "chat:E-12", "chat:task/T-1", "chat:ops"):
        assert live.send("-s", address, "-m", NASTY).returncode == 0, address
    spool = live.spool()
    assert len(spool) == 6
    first = spool[0]
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", first["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["ts"])
    wanted = {"v": 1, "tenant_id": "acme", "src": "operator:mosaic-cli", "dst": "chat", "class": None}
    assert (
        wanted | {"thread": None, "reply_to": None, "mirror": False, "attachments": []}
    ).items() <= first.items()
    assert {one["body"] for one in spool} == {NASTY}


def test_addresses_that_cannot_be(live: LiveFleet) -> None:
    (live.home / "bot" / "config.yaml").write_text(
        "rooms:\n  ops: {mode: ops}\n  # c\n  'war-room':\n    mode: ops\nx: 1\n"
    )
    for address in (
        "chat:",
        "chat:nosuch",
        "chat:short2",
        "chat:E-",
        "chat:task/",
        "chat:mode",
        f"chat:{HANDLE}.x",
    ):
        assert live.send("-s", address, "-m", "hi").returncode == 1, address
    for address in ("chat:ops", "chat:war-room", "chat:ops/thread-1"):
        assert live.send("-s", address, "-m", "hi").returncode == 0, address
    assert [one["dst"] for one in live.spool()] == ["chat:ops", "chat:war-room", "chat:ops/thread-1"]
    assert live.send("-s", "operator", "-m", "hi").returncode == 1


def test_a_disk_that_cannot_be_written_is_said(live: LiveFleet) -> None:
    blocked = live.home / "fleet" / "run" / "spool"
    for part in blocked.iterdir():
        part.rmdir()
    blocked.rmdir()
    blocked.write_text("")
    done = live.send("-s", "chat", "-m", "hi")
    assert done.returncode == 1
    assert "cannot write" in done.stderr


def test_too_large_is_refused(live: LiveFleet) -> None:
    done = live.send("-s", "chat", stdin="x" * (1024 * 1024 + 1))
    assert done.returncode == 3
    assert live.spool() == []


def test_agents_speak_as_themselves_and_leave_a_mirror(live: LiveFleet) -> None:
    live.start("coder0")
    live.start("coder1")
    live.send("-s", "coder0", "-m", "send coder1 hello there")
    (text,) = wait_for(lambda: live.transcript("coder1"), "the message at the peer")
    host = os.uname().nodename
    assert text == f"[{host}:coder0 -> {host}:coder1] hello there"
    (mirror,) = live.spool()
    assert (mirror["mirror"], mirror["src"], mirror["body"]) == (True, f"{host}:coder0", "hello there")


@pytest.mark.parametrize("source", ["operator:x", "matrix:@a:b/c", "local:me", "discord:1", "h:coder1"])
def test_an_agent_cannot_speak_as_another(live: LiveFleet, source: str) -> None:
    live.define("coder1")
    live.define(
        "coder0",
        command=f'cd "$MOSAIC_HOME"; agent-send.sh -s chat -m hi -S {source} 2>said; echo $? >code; sleep 60',
    )
    assert live.launch("coder0").returncode == 0
    code = live.home / "code"
    assert wait_for(lambda: code.exists() and code.read_text().strip(), "the exit code") == "3"
    assert "-S" in (live.home / "said").read_text()
    assert live.spool() == []


def test_the_default_server_is_asked_without_a_socket(live: LiveFleet, tmp_path: Path) -> None:
    """With a folder of its own for sockets, so that the person's default server is not touched."""
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    done = live.send("-s", "nobody", "-m", "hi", TMUX_TMPDIR=str(folder))
    assert done.returncode == 1
    assert "tmux socket 'default'" in done.stderr
    assert list(folder.rglob("default")) == []


def test_another_host_gets_the_same_bytes(live: LiveFleet, tmp_path: Path) -> None:
    """An `ssh` that runs its command here shows what would travel: nothing in it depends on quoting."""
    far = tmp_path / "far home"
    shutil.copytree(live.home, far)
    programs = tmp_path / "bin"
    programs.mkdir()
    script = '#!/bin/bash\necho "$@" >>"$CALLS"\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec "$@"\n'
    (programs / "ssh").write_text(script)
    (programs / "ssh").chmod(0o755)
    other = LiveFleet(far, live.socket)
    other.start("coder0")
    calls = tmp_path / "calls"
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "MOSAIC_REMOTE_HOME": str(far), "CALLS": str(calls)}
    env["MOSAIC_SSH_CONFIG"] = "/x/config"
    done = live.send("-H", "dev@far", "-s", "coder0", "-S", "h:lead", "-n", "far", "-m", NASTY, **env)
    assert done.returncode == 0, done.stderr
    assert wait_for(lambda: other.transcript("coder0"), "the prompt") == [f"[h:lead -> far:coder0] {NASTY}"]
    assert len(calls.read_text().splitlines()) == 1
    assert "-F /x/config" in calls.read_text()
    assert live.send("-H", "dev@far", "-s", "nosuch", "-m", "x", **env).returncode == 1
    assert live.send("-H", "-oProxyCommand=x", "-s", "coder0", "-m", "x", **env).returncode == 3
    (programs / "ssh").write_text("#!/bin/bash\nexit 255\n")
    lost = live.send("-H", "dev@far", "-s", "coder0", "-m", "x", **env)
    assert lost.returncode == 1
    assert "could not be reached" in lost.stderr
