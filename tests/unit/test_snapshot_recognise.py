"""Which program a process is: by what runs, not by words of a wrapper."""

from __future__ import annotations

import pytest

from fleet.roster.words import RUNTIMES
from fleet.runtimes.facts import has_events
from fleet.runtimes.recognise import LAUNCHER, custom_word, recognise, recogniser_for
from fleet.runtimes.registry import adapter

NODE = "/usr/bin/node"
LIB = "/usr/lib/node_modules"


@pytest.mark.parametrize(
    ("argv", "exe", "comm", "meant"),
    [
        (
            ["/u/.bin/claude", "--model", "x"],
            f"{LIB}/@anthropic-ai/claude-code/bin/claude.exe",
            "claude",
            "claude",
        ),
        (["claude"], "/home/a/.local/share/claude/versions/2.1.3", "claude", "claude"),
        (["node", f"{LIB}/@anthropic-ai/claude-code/cli.js"], NODE, "node", "claude"),
        (["node", "/u/.bin/codex", "--x"], NODE, "node", "codex"),
        (["/x/codex"], "/y/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex", "codex", "codex"),
        (["pi"], NODE, "pi", "pi"),
        (["node", "--no-warnings", f"{LIB}/@earendil-works/pi-coding-agent/dist/cli.js"], NODE, "node", "pi"),
        (["/u/.bin/opencode"], f"{LIB}/opencode-ai/bin/opencode.exe", "opencode", "opencode"),
        (["python3", "/h/agents/stub-agent", "--x"], "/usr/bin/python3.11", "python3", "stub"),
        (["stub-agent"], None, "stub-agent", "stub"),
        (["bash", "/opt/claude", "--x"], "/bin/bash", "claude", "claude"),
        (["python3", "/v/bin/mosaic", "yolo", "claude"], "/usr/bin/python3.11", "mosaic", LAUNCHER),
        (["bash", "-lc", "claude --model x; true"], "/bin/bash", "bash", None),
        (["vim", "claude"], "/usr/bin/vim", "vim", None),
        (["python3", "-c", "pass", "stub-agent"], "/usr/bin/python3.11", "python3", None),
        (["-bash"], "/bin/bash", "bash", None),
        (["x"], "/usr/bin/raspberry", "pi", None),
        ([], None, None, None),
    ],
)
def test_what_runs(argv: list[str], exe: str | None, comm: str | None, meant: str | None) -> None:
    assert recognise(argv, exe, comm) == meant


def test_a_custom_program_is_known_by_its_first_word() -> None:
    known = recogniser_for("custom", "FOO=1 exec /opt/tools/my-very-long-agent-name --x")
    assert known(["/opt/tools/my-very-long-agent-name"], None, None) == "custom"
    assert known(["python3", "/opt/tools/my-very-long-agent-name"], "/usr/bin/python3", "python3") == "custom"
    assert known(["other"], None, "my-very-long-ag") == "custom"
    assert known(["claude"], None, "claude") == "claude"
    assert known(["sleep", "my-very-long-agent-name"], "/bin/sleep", "sleep") is None
    assert recogniser_for("pi", "my-agent") is recognise
    assert custom_word("'unclosed") == "'unclosed"
    assert custom_word(None) is None


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_cheap_fact_about_events_agrees_with_the_adapter(runtime: str) -> None:
    assert has_events(runtime) == adapter(runtime).has_events
