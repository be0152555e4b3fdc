"""Pictures of a running demo in Hydrogen, a Matrix client that is not ours: shot.py [--dir D] [--out D]

Signs in as the demo's operator, plays a short scene by typing as a person does, and takes the pictures of
PICTURES. Wants what build.sh makes, and Chromium. See README.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
MOSAIC = str(PROJECT / ".venv" / "bin" / "mosaic")
SITE = PROJECT / ".cache" / "pictures" / "site"
LIMIT_KB = 250
SETTLE_MS = 1500  # fonts, images and reactions come after the room itself
POLL_MS = 6000  # the bot reads the fleet every 5 s where nobody watches
ROOMS = {"ops": "Fleet ops", "conversation": "Talk to Mos", "log": "Fleet log", "reports": "Fleet reports"}
MORNING = "Good morning! Please have the login branch reviewed before noon."
BLOCK = "May I run the migration on staging?"
QUESTION = "The staging password has expired. Who can renew it?"
DESKTOP, PHONE = (1280, 800), (390, 844)
LOW_DESKTOP = (1280, 668)  # the table and the escalation, and nothing half cut


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: a room at a size in CSS pixels, scrolled so that ``show`` stands in view."""

    file: str
    room: str
    size: tuple[int, int]
    theme: str
    show: str = ""
    before_scene: bool = False  # as the demo left it


PICTURES = (
    Picture("escalation-desktop-light", "ops", DESKTOP, "light", "E-1", before_scene=True),
    Picture("reports-desktop-light", "reports", DESKTOP, "light"),
    Picture("reports-phone-dark", "reports", PHONE, "dark"),
    Picture("conversation-desktop-dark", "conversation", DESKTOP, "dark"),
    Picture("ops-phone-light", "ops", PHONE, "light"),
    Picture("ops-phone-dark", "ops", PHONE, "dark"),
    Picture("chat", "ops", LOW_DESKTOP, "light"),
)


class Files(SimpleHTTPRequestHandler):
    """The built client, without a line per request."""

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """``folder`` on a free port of the loopback; the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, name="files", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def sign_in(page: Page, address: str, connection: dict[str, Any]) -> None:
    """From the first screen to the list of rooms."""
    page.goto(address)
    page.fill("#homeserver", connection["homeserver"])
    page.fill("#username", connection["operator"]["user_id"])
    page.fill("#password", connection["operator"]["password"])
    page.click("button[type=submit]")
    page.wait_for_selector(".RoomList li")
    page.wait_for_timeout(SETTLE_MS)


def dress(page: Page, size: tuple[int, int], theme: str) -> None:
    """Another size and theme for the same session."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate(
        """theme => new Promise(done => {
          const link = document.querySelector("#theme");
          const file = `/assets/theme-element-${theme}.css`;
          if (link.getAttribute("href") === file) return done();
          link.onload = () => done();
          link.setAttribute("href", file);
        })""",
        theme,
    )


def enter(page: Page, room: str) -> None:
    """Open ``room`` (a key of ROOMS), at its newest message."""
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    page.locator(".RoomList li", has_text=ROOMS[room]).first.click()
    page.locator(".RoomHeader", has_text=ROOMS[room]).wait_for()
    page.wait_for_selector(".Timeline li")
    page.wait_for_timeout(SETTLE_MS)


def write(page: Page, text: str) -> None:
    """Type ``text`` into the open room and send it."""
    page.fill(".MessageComposer_input textarea", text)
    page.keyboard.press("Enter")
    page.locator(".Timeline li", has_text=text).last.wait_for()
    page.wait_for_timeout(SETTLE_MS)


def react(page: Page, to: str, emoji: str) -> None:
    """Add to a reaction that stands below the first message with the words ``to``."""
    page.locator(".Timeline li", has_text=to).first.locator("button", has_text=emoji).click()
    page.wait_for_timeout(SETTLE_MS)


def tell(home: str, agent: str, words: str) -> None:
    """What an agent is told from a terminal, so that the room shows only what the agent does."""
    subprocess.run([MOSAIC, "--mosaic-home", home, "agent", "send", agent, words], check=True)


def wait_idle(home: str) -> None:
    """Until some agent counts as idle (five minutes without output), so that the table shows more than one
    state. Raises TimeoutError."""
    for _ in range(100):
        told = subprocess.run(
            [MOSAIC, "--mosaic-home", home, "fleet", "ps", "--json"], capture_output=True, check=True
        )
        if any(agent["readiness"] == "available" for agent in json.loads(told.stdout)["agents"]):
            return
        time.sleep(4)
    raise TimeoutError("no agent became idle within 400 s")


def play(page: Page, home: str) -> None:
    """A word to the orchestrator; a blocked agent and the table that shows it; a question taken by ✅."""
    wait_idle(home)
    enter(page, "conversation")
    write(page, MORNING)
    enter(page, "ops")
    tell(home, "coder1", f"block {BLOCK}")
    page.locator(".Timeline li pre", has_text=BLOCK).first.wait_for()
    page.wait_for_timeout(POLL_MS)
    write(page, "!fleet ps")
    page.locator(".Timeline li pre", has_text="needs you").first.wait_for()
    tell(home, "coder0", f"escalate {QUESTION}")
    page.locator(".Timeline li", has_text=QUESTION).first.locator("button", has_text="✅").wait_for()
    react(page, QUESTION, "✅")
    page.locator(
        ".Timeline li", has_text=re.compile(f"{re.escape(QUESTION)}.*acknowledged", re.S)
    ).first.wait_for()
    enter(page, "reports")
    write(page, "!report now readiness")
    page.locator(".Timeline li", has_text=BLOCK).first.wait_for()
    page.wait_for_timeout(POLL_MS)


def take(page: Page, picture: Picture, out: Path) -> str:
    """Take ``picture``; a line that tells how large it is."""
    enter(page, picture.room)
    dress(page, picture.size, picture.theme)
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate("document.activeElement?.blur()")
    if picture.show:
        page.locator(".Timeline li", has_text=picture.show).first.scroll_into_view_if_needed()
    else:
        page.locator(".Timeline_scroller").evaluate("scroller => scroller.scrollTo(0, scroller.scrollHeight)")
    page.wait_for_timeout(SETTLE_MS)
    path = out / f"{picture.file}.png"
    page.screenshot(path=path)
    squeeze(path)
    return f"{path.name:34}{path.stat().st_size / 1000:6.0f} kB"


def squeeze(path: Path) -> None:
    """256 colours: pictures of a screen lose nothing that is seen, and most of their bytes."""
    if path.stat().st_size < LIMIT_KB * 1000:
        return
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """0; 3 where the demo does not run or the client is not built, 1 where a picture is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=PROJECT / ".demo", help="folder of the running demo")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "pictures")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), help="pattern of names")
    parser.add_argument("--no-scene", action="store_true", help="type nothing, only take the pictures")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    given = parser.parse_args()
    told = given.dir / "connection.json"
    for needed, mend in ((told, "start the demo first"), (SITE / "app.js", "run build.sh first")):
        if not needed.exists():
            say(f"{needed} is missing: {mend}")
            return 3
    connection = json.loads(told.read_text("utf-8"))
    given.out.mkdir(parents=True, exist_ok=True)
    with served(SITE) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=given.browser, args=["--no-sandbox"])
        page = browser.new_context(device_scale_factor=2).new_page()
        page.on("pageerror", lambda problem: say(f"page: {problem}"))
        sign_in(page, address, connection)
        wanted = [picture for picture in PICTURES if given.only.search(picture.file)]
        for picture in [p for p in wanted if p.before_scene]:
            say(take(page, picture, given.out))
        if not given.no_scene:
            play(page, connection["mosaic_home"])
        for picture in [p for p in wanted if not p.before_scene]:
            say(take(page, picture, given.out))
        browser.close()
    large = [p.name for p in given.out.glob("*.png") if p.stat().st_size >= LIMIT_KB * 1000]
    if large:
        say(f"larger than {LIMIT_KB} kB: {', '.join(large)}")
    return 1 if large else 0


if __name__ == "__main__":
    raise SystemExit(main())
