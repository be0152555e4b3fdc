"""The configuration loads whole, or says in one paragraph what to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import ConfigError, load_config, refuse_unbuilt

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_the_example_loads_and_has_every_key(tmp_path: Path) -> None:
    config = load_config(EXAMPLE)
    text = EXAMPLE.read_text()
    for model in (config, config.connectors, config.access, config.rooms["ops"], config.schedules[0]):
        for name, field in type(model).model_fields.items():
            assert f"{field.alias or name}:" in text, name
    assert config.notes() == ["launch.required_mcp: read, without effect in this version"]
    assert config.http_listen == "127.0.0.1:0"
    assert config.connectors.matrix is not None
    assert config.connectors.matrix.password_file == EXAMPLE.parent / "matrix.password"


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "# nothing\n"))
    assert config.prefix == "!"
    assert config.connectors.local.enabled
    assert config.rooms == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("acces: {}", ["line 1", "acces", "Did you mean `access`?"]),
        ("connectors:\n  matrx: {}", ["line 2", "connectors.matrx", "Did you mean `matrix`?"]),
        ("rooms:\n  ops:\n    mod: ops", ["rooms.ops.mod", "Did you mean `mode`?"]),
        ("rooms:\n  ops: {mode: opps}", ["line 2", "rooms.ops.mode", "`opps`", "Did you mean `ops`?"]),
        ("rooms:\n  room1: {mode: ops}", ["`room1` cannot name a room", "no digits"]),
        ("rooms:\n  ops: {mode: ops, matrix: '#ops:hs'}", ["rooms.ops.matrix", "begins with `!`"]),
        ("rooms: {a: {mode: ops, matrix: '!x'}, b: {mode: log, matrix: '!x'}}", ["same room !x"]),
        ("access: {operator: {matrix: [ana]}}", ["access.operator.matrix", "`ana` is no Matrix id"]),
        ("supervisor: cron", ["supervisor", "`cron`"]),
        ("schedules: [{id: a, report: readiness, room: ops, cron: '* * * * *'}]", ["`ops`", "no room"]),
        (
            "rooms: {ops: {mode: ops}}\nschedules: [{id: a, report: spend, room: ops, every_s: 5}]",
            ["schedules[0].report", "comes with the budget"],
        ),
        (
            "rooms: {ops: {mode: ops}}\nschedules: [{id: a, report: readiness, room: ops}]",
            ["exactly one of `cron:` and `every_s:`"],
        ),
        (
            "rooms: {o: {mode: ops}}\nschedules: [{id: a, report: readiness, room: o, every_s: 5, tz: M}]",
            ["`M` is no time zone"],
        ),
        ("http: {listen: '0.0.0.0:80'}", ["http.listen", "not loopback"]),
        ("connectors: {matrix: {homeserver: 'http://h', user_id: '@a:b'}}", ["exactly one secret"]),
        (
            "connectors: {matrix: {homeserver: hs, user_id: '@a:b', token: x}}",
            ["homeserver", "`hs` is no address"],
        ),
        ("connectors: {local: {enabled: perhaps}}", ["connectors.local.enabled", "not true or false"]),
        ("prefix: ${NOT_SET_ANYWHERE}", ["prefix", "NOT_SET_ANYWHERE"]),
        ("prefix: [", ["broken YAML"]),
        ("- a", ["not a mapping"]),
        ("prefix: a\nprefix: b", ["line 2", "given twice"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    for part in says:
        assert part in said, said


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mosaic init"):
        load_config(tmp_path / "config.yaml")


def test_several_mistakes_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2 mistakes: \(1\) .* \(2\) "):
        load_config(write(tmp_path, "supervisor: x\nprefx: '?'\n"))


MATRIX = "connectors: {matrix: {homeserver: 'http://h:1', user_id: '@a:b', %s}}"


def test_secrets_come_from_files_and_environment_and_are_hidden(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2\n")
    by_file = load_config(write(tmp_path, MATRIX % "password_file: pw"), {}).connectors.matrix
    assert by_file is not None
    assert by_file.password() == "hunter2"
    assert by_file.token() is None
    config = load_config(write(tmp_path, MATRIX % "token: '${MX_TOKEN}'"), {"MX_TOKEN": "s3cr3t"})
    assert config.connectors.matrix is not None
    assert config.connectors.matrix.token() == "s3cr3t"
    assert "s3cr3t" not in str(config.effective())
    assert "s3cr3t" not in repr(config)


def test_an_unreadable_secret_names_file_and_key(tmp_path: Path) -> None:
    matrix = load_config(write(tmp_path, MATRIX % "password_file: gone"), {}).connectors.matrix
    assert matrix is not None
    with pytest.raises(ConfigError, match=r"gone \(connectors\.matrix\.password_file\) cannot be read"):
        matrix.password()
    (tmp_path / "gone").write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        matrix.password()


def test_discord_is_checked_and_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "connectors: {discord: {token_file: t, guild_id: 123456789012345678}}")
    config = load_config(path)
    assert config.connectors.discord is not None
    assert config.connectors.discord.guild_id == "123456789012345678"
    with pytest.raises(ConfigError, match="not in this version"):
        refuse_unbuilt(config, path)


def test_what_has_no_effect_yet_is_said(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "access: {confirm_terminal_changes: true}\nbudget: {a: 1}\n"))
    said = " ".join(config.notes())
    assert "access.confirm_terminal_changes: read, without effect" in said
    assert "budget: read, without effect" in said
