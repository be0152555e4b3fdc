from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_support import LiveFleet, tmux, wait_for

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


def test_a_message_reaches_the_agent_byte_for_byte(live: LiveFleet) -> None:
    live.start("coder0")
    done = live.send("-s", "coder0", "-m", NASTY, "-v")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accepted screen ")
    wait_for(lambda: live.transcript("coder0"), "the prompt in the transcript")
    (text,) = live.transcript("coder0")
    assert re.fullmatch(r"\[operator:mosaic-cli -> \S+:coder0\] ", text[: text.index("] ") + 2])
    assert text[text.index("] ") + 2 :] == NASTY
    assert [one["body"] for one in live.mail("coder0", "cur")] == [NASTY]
    assert not live.mail("coder0")
    assert not tmux(live.socket, "list-buffers")


def test_twenty_kilobytes_arrive_whole(live: LiveFleet) -> None:
    live.start("coder0")
    body = "\n".join(f"line {number} é😀 $(x) \\ ;" + "z" * 50 for number in range(280))
    assert len(body.encode()) > 20_000
    assert live.send("-s", "coder0", stdin=body).returncode == 0
    (text,) = wait_for(lambda: live.transcript("coder0"), "the long prompt")
    assert text.partition("] ")[2] == body


def test_control_characters_do_not_reach_the_pane(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "a\x1b[201~\rb\x03\x1b]0;t\x07c\u202ed")
    (text,) = wait_for(lambda: live.transcript("coder0"), "the prompt")
    assert text.partition("] ")[2] == "a\nbc\\u202ed"


def test_no_session_means_nothing_queued(live: LiveFleet) -> None:
    live.define("coder0")
    done = live.send("-s", "coder0", "-m", "hi")
    assert done.returncode == 1
    assert "no session 'coder0'" in done.stderr
    assert not live.mail("coder0")


def test_no_prefix_matching(live: LiveFleet) -> None:
    live.start("coder0")
    assert live.send("-L", live.socket, "-s", "coder", "-m", "hi").returncode == 1
    assert live.tool("send-message.sh", "-L", live.socket, "-t", "coder", "-m", "hi").returncode == 1
    assert live.transcript("coder0") == []


def test_busy_holds_and_the_next_send_delivers_in_order(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "hang 600")
    wait_for(lambda: "Working…" in live.screen("coder0"), "the work")
    done = live.send("-s", "coder0", "-m", "first")
    assert (done.returncode, done.stdout.strip()) == (0, "queued: no node")
    assert [one["body"] for one in live.mail("coder0")] == ["first"]
    tmux(live.socket, "send-keys", "-t", "=coder0:", "Escape")
    wait_for(lambda: "idle" in live.screen("coder0"), "the end of the work")
    wait_for(
        lambda: live.send("-s", "coder0", "-m", "second").returncode == 0 and not live.mail("coder0"), "both"
    )
    bodies = [text.partition("] ")[2] for text in live.transcript("coder0")[1:]]
    assert bodies[:2] == ["first", "second"]


def test_a_dialog_gets_nothing(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "block may I")
    wait_for(lambda: "Permission needed" in live.screen("coder0"), "the dialog")
    assert live.send("-s", "coder0", "-m", "yes").stdout.strip() == "queued: no node"
    assert "Permission needed" in live.screen("coder0")
    assert len(live.transcript("coder0")) == 1
    assert [one["body"] for one in live.mail("coder0")] == ["yes"]


def test_a_foreign_draft_is_never_submitted(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "send-keys", "-t", "=coder0:", "-l", "half a thought")
    wait_for(lambda: "half a thought" in live.screen("coder0"), "the draft")
    assert live.send("-s", "coder0", "-m", "hi").stdout.strip() == "queued: no node"
    assert live.transcript("coder0") == []
    assert "half a thought" in live.screen("coder0")


def test_copy_mode_is_left(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "copy-mode", "-t", "=coder0:")
    assert live.send("-s", "coder0", "-m", "hi").returncode == 0
    wait_for(lambda: live.transcript("coder0"), "the prompt")


def test_a_log_line_is_not_typed(live: LiveFleet) -> None:
    live.start("coder0")
    done = live.send("-s", "coder0", "-C", "terminal-log", "-m", "note", "-v")
    assert done.stdout.startswith("accepted log")
    assert live.transcript("coder0") == []
    assert [one["body"] for one in live.mail("coder0", "cur")] == ["note"]


def test_a_mark_without_verdict_is_left_to_the_node(live: LiveFleet) -> None:
    live.start("coder0")
    live.send("-s", "coder0", "-m", "one")
    box = live.home / "fleet" / "run" / "mail" / "coder0"
    (done,) = box.glob("cur/*.json")
    done.rename(box / "new" / done.name)
    (box / "cur" / f"{done.stem}.result").unlink()
    (box / "cur" / f"{done.stem}.typing").write_text("{}")
    assert live.send("-s", "coder0", "-m", "two").stdout.strip() == "queued: no node"
    assert [text.partition("] ")[2] for text in live.transcript("coder0")] == ["one"]


def test_while_a_node_lives_the_tool_only_queues(live: LiveFleet) -> None:
    live.start("coder0")
    with (live.home / "fleet" / "run" / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sender = subprocess.Popen(
            [live.home / "tools" / "tmux" / "agent-send.sh", "-s", "coder0", "-m", "hi", "-v"],
            env=live.env(),
            stdout=subprocess.PIPE,
            text=True,
        )
        (mail,) = wait_for(lambda: live.mail("coder0"), "the mail")
        assert {"v": 1, "class": None, "mirror": False, "body": "hi"}.items() <= mail.items()
        assert live.transcript("coder0") == []
        result = live.home / "fleet" / "run" / "mail" / "coder0" / "cur" / f"{mail['id']}.result"
        result.write_text("draft screen 12\n")
        out, _ = sender.communicate(timeout=30)
    assert sender.returncode == 2
    assert out.startswith("draft screen 12")


def test_a_lock_holder_that_dies_does_not_stop_the_mail(live: LiveFleet) -> None:
    live.start("coder0")
    lock = live.home / "fleet" / "run" / "lock" / "coder0"
    code = (
        "import fcntl,sys;f=open(sys.argv[1],'a');fcntl.flock(f,2);print('held',flush=True);sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    sender = subprocess.Popen(
        [live.home / "tools" / "tmux" / "agent-send.sh", "-s", "coder0", "-m", "hi"],
        env=live.env(),
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: live.mail("coder0"), "the mail")
    assert live.transcript("coder0") == []
    holder.kill()
    holder.communicate()
    assert sender.wait(30) == 0
    wait_for(lambda: live.transcript("coder0"), "the delivery")


def test_five_at_once_arrive_once_each(live: LiveFleet) -> None:
    live.start("coder0", STUB_THINK_S="0.01")
    tool = live.home / "tools" / "tmux" / "agent-send.sh"
    bodies = {f"message {number}" for number in range(5)}
    senders = [
        subprocess.Popen([tool, "-s", "coder0", "-m", body], env=live.env()) for body in sorted(bodies)
    ]
    assert [sender.wait(60) for sender in senders] == [0] * 5
    wait_for(
        lambda: live.send("-s", "coder0", "-m", "last").returncode == 0 and not live.mail("coder0"), "all"
    )
    wait_for(lambda: "idle" in live.screen("coder0"), "quiet")
    arrived = [text.partition("] ")[2] for text in live.transcript("coder0")]
    assert sorted(text for text in arrived if text != "last") == sorted(bodies)


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
        command=f'agent-send.sh -s chat -m hi -S {source} 2>"$MOSAIC_HOME/said"; echo $? >"$MOSAIC_HOME/code"; sleep 60',
    )
    assert live.launch("coder0").returncode == 0
    code = live.home / "code"
    assert wait_for(lambda: code.exists() and code.read_text().strip(), "the exit code") == "3"
    assert "-S" in (live.home / "said").read_text()
    assert live.spool() == []


def test_other_sessions_get_a_guarded_paste(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "new-session", "-d", "-s", "visitor", "-x", "80", "-y", "20", "cat")
    assert (
        live.send("-L", live.socket, "-s", "visitor", "-S", "a:b", "-n", "h", "-m", "hello").returncode == 0
    )
    wait_for(lambda: live_screen(live).count("[a:b -> h:visitor] hello") == 2, "the line and its echo")
    assert not (live.home / "fleet" / "run" / "mail" / "visitor").exists()


def live_screen(live: LiveFleet) -> str:
    return live.screen("visitor")


def test_raw_text_has_its_first_character_defused(live: LiveFleet) -> None:
    live.start("coder0")
    assert live.tool("send-message.sh", "-L", live.socket, "-t", "=coder0", "-m", "/clear").returncode == 0
    wait_for(lambda: "A new session" in live.screen("coder0") or live.transcript("coder0"), "a reaction")


def test_a_dead_pane_is_refused_and_the_server_lives(live: LiveFleet) -> None:
    live.start("coder0")
    tmux(live.socket, "new-session", "-d", "-s", "dead", "-x", "80", "-y", "20", "sleep 600")
    tmux(live.socket, "set-option", "-w", "-t", "=dead:", "remain-on-exit", "on")
    _, pid = live.pane("dead")
    os.kill(pid, 15)
    wait_for(
        lambda: tmux(live.socket, "list-panes", "-t", "=dead:", "-F", "#{pane_dead}").strip() == "1",
        "the end",
    )
    done = live.send("-L", live.socket, "-s", "dead", "-m", "hi")
    assert done.returncode == 1
    assert "dead" in done.stderr
    assert "coder0" in tmux(live.socket, "list-sessions", "-F", "#{session_name}")
    assert not tmux(live.socket, "list-buffers")


def test_a_prompt_that_swallows_enter_is_a_draft(live: LiveFleet, tmp_path: Path) -> None:
    live.start("coder0")
    program = tmp_path / "stubborn"
    program.write_text(
        "#!/bin/bash\nstty -echo -icanon -icrnl\nprintf '> '\nwhile IFS= read -rN1 c; do [ \"$c\" = $'\\r' ] || printf %s \"$c\"; done\n"
    )
    program.chmod(0o755)
    tmux(live.socket, "new-session", "-d", "-s", "stubborn", "-x", "80", "-y", "20", str(program))
    wait_for(lambda: ">" in live.screen("stubborn"), "its prompt")
    done = live.tool(
        "send-message.sh", "-L", live.socket, "-t", "stubborn", "-m", "please take this", "-r", "1"
    )
    assert done.returncode == 2
    assert "please take this" in live.screen("stubborn")


def test_the_default_server_is_asked_without_a_socket(live: LiveFleet, tmp_path: Path) -> None:
    """With a folder of its own for sockets, so that the person's default server is not touched."""
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    done = live.send("-s", "nobody", "-m", "hi", TMUX_TMPDIR=str(folder))
    assert done.returncode == 1
    assert "tmux socket 'default'" in done.stderr
    assert list(folder.rglob("default")) == []
