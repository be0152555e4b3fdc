from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from fleet.roster import words
from framework.seed import package

ROLES = sorted((package() / "fleet" / "roles").glob("*.md"))
KINDS = {
    "front-office": {"board", "planner", "decomposition", "orchestrator"},
    "execution": {"code", "review", "security-review", "site-tester", "rebase", "documentation"},
    "gate": {"merge-gate"},
    "meta": {"operator", "session-review", "enhancer"},
}


def read(name: str) -> tuple[dict[str, Any], str]:
    text = (package() / "fleet" / "roles" / f"{name}.md").read_text("utf-8")
    _, front, prose = text.split("---\n", 2)
    return yaml.safe_load(front), prose


def test_there_is_a_contract_for_each_class_and_no_other() -> None:
    assert {path.stem for path in ROLES} == set(words.CLASSES)


@pytest.mark.parametrize("name", words.CLASSES)
def test_front_matter_and_prose_agree(name: str) -> None:
    front, prose = read(name)
    assert set(front) == {"class", "kind", "may", "must_not", "hands_off_to"}
    assert front["class"] == name
    assert name in KINDS[front["kind"]]
    assert f"Kind: {front['kind']}." in prose
    assert not set(front["may"]) & set(front["must_not"])
    assert set(front["hands_off_to"]) <= set(words.CLASSES) - {name}
    assert {"read", "send", "escalate", "report-task"} <= set(front["may"])
    assert {"change-roster", "change-budget", "change-permissions"} <= set(front["must_not"])
    for heading in ("# ", "## Mandate", "## Boundaries", "## Persona", "## Doctrine"):
        assert heading in prose
    mandate = prose.split("## Mandate")[1].split("## Boundaries")[0]
    assert len(re.findall(r"^\d\. ", mandate, re.MULTILINE)) in {4, 5}


@pytest.mark.parametrize("name", words.CLASSES)
def test_only_the_merge_gate_merges(name: str) -> None:
    front, prose = read(name)
    assert ("merge" in front["may"]) == (name == "merge-gate")
    if name != "merge-gate":
        assert "merge" in front["must_not"]
        assert "merge" in prose.split("## Boundaries")[1]


def test_who_owns_the_switch_and_the_goals() -> None:
    assert {"pause", "resume"} <= set(read("operator")[0]["may"])
    assert "fleet/run/PAUSED" in read("operator")[1]
    assert "fleet/run/PAUSED" in read("merge-gate")[1]
    assert [name for name in words.CLASSES if "ratify" in read(name)[0]["may"]] == ["board"]
