"""A bot that is started with a Matrix account that does not work says so once, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from chat_support import new_account

from bot.homeserver import Homeserver
from fleet.home import Home


async def test_a_wrong_password_is_one_paragraph_with_the_mend(
    homeserver: Homeserver, tmp_path: Path
) -> None:
    user = await new_account(homeserver, "firstcontact")
    home = Home(tmp_path)
    home.bot.mkdir()
    home.fleet.mkdir()
    home.roster.write_text(
        "version: 1\ntransport: tmux\ntmux: {socket_name: mf-first}\n"
        "agents: [{name: coder0, class: code, runtime: stub}]\n"
    )
    (home.bot / "password").write_text("not-the-one\n")
    home.config.write_text(
        f"connectors: {{matrix: {{homeserver: '{homeserver.url}', user_id: '{user}', "
        f"password_file: '{home.bot / 'password'}'}}}}\n"
        "rooms: {ops: {mode: ops, matrix: '!ops:x'}}\nsupervisor: none\n"
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("mosaic"), "bot", "run"],
        capture_output=True,
        text=True,
        env={**os.environ, "MOSAIC_HOME": str(home.root)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert user in done.stderr
    assert "password_file" in done.stderr
    assert "not-the-one" not in done.stderr
    assert not home.bot_json.exists()
