"""Takes the README's pictures of the demo: `python docs/screenshots.py [folder]`.

With a folder of its own it takes every page in both languages, on a phone and a desktop, light and dark, to look at.
Needs `pip install playwright` and Chromium.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

sys.path.insert(0, str(Path(__file__).parents[1]))
from examples.daily_report import protected

README = Path(__file__).parent / "img"
LOOKS = {
    "phone": {"locale": "ja-JP", "color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "desktop": {"locale": "en-GB", "color_scheme": "dark", "viewport": {"width": 1200, "height": 800}},
    "phone-dark": {"locale": "ja-JP", "color_scheme": "dark", "viewport": {"width": 320, "height": 640}},
    "desktop-light": {"locale": "ja-JP", "color_scheme": "light", "viewport": {"width": 1200, "height": 800}},
}
MEMBER, PASSWORD = "genba@example.com", "asa-ichiban-no-nippo"
DISABLED = ("kyushoku@example.com", "yasumi-no-aida-dake")


def sign_in(page: Page, email: str, password: str) -> None:
    page.locator("#login [name=email]").fill(email)
    page.locator("#login [name=password]").fill(password)
    page.locator("#login button[type=submit]").click()
    page.wait_for_load_state()


def walk(page: Page, url: str, link: object) -> Iterator[str]:
    page.goto(url)
    yield "login"
    sign_in(page, "kanri@example.com", "MACHIGAI")
    yield "wrong"
    sign_in(page, *DISABLED)
    yield "disabled"
    for _ in range(6):
        sign_in(page, f"nobody{id(page)}@example.com", "machigai-password")
    yield "locked"
    page.goto(f"{url}/auth/forgot")
    yield "forgot"
    page.locator("#forgot [name=email]").fill(MEMBER)
    page.locator("#forgot button[type=submit]").click()
    page.locator(".sender").wait_for()
    yield "sent"
    page.goto(link())
    yield "reset"
    page.locator("#password").fill("aaaaaaaaaaaa")
    page.locator("#reset button[type=submit]").click()
    page.locator("#problem").wait_for()
    yield "reset-refused"
    page.locator("#password").fill(PASSWORD)
    page.locator("#reset button[type=submit]").click()
    page.locator(".said").wait_for()
    yield "after-reset"
    page.goto(f"{url}/auth/help")
    page.locator("summary").nth(1).click()
    yield "help"
    page.goto(f"{url}/auth/reset/x")
    yield "expired-link"
    page.goto(url)
    sign_in(page, MEMBER, PASSWORD)
    page.goto(f"{url}/auth/account")
    yield "account"
    page.goto(f"{url}/auth/logout")
    yield "logout"
    page.goto(url)
    page.locator("#body").fill("x")
    page.context.clear_cookies()
    page.locator("#report button").click()
    page.wait_for_load_state()
    yield "ended"


def main(folder: Path | None) -> None:
    wanted = {("phone", "login"), ("phone", "sent"), ("desktop", "login")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for look, options in LOOKS.items():
            if folder is None and look not in {wanted_look for wanted_look, _ in wanted}:
                continue
            with tempfile.TemporaryDirectory() as temporary:
                server = make_server("localhost", 0, lambda *_: [], threaded=True)
                server.app = app = protected(Path(temporary) / "demo", server.port)
                threading.Thread(target=server.serve_forever, daemon=True).start()
                mailer, auth = app.extensions["demo_mailer"], app.extensions["nipo_auth_mw"]

                def link(mailer: object = mailer, auth: object = auth) -> str:
                    auth.flush_mail()
                    return re.search(r"http://\S+/reset/\S+", mailer.kept[0].text).group()

                page = browser.new_context(**options).new_page()
                for state in walk(page, f"http://localhost:{server.port}", link):
                    if folder is not None or (look, state) in wanted:
                        target = folder or README
                        target.mkdir(parents=True, exist_ok=True)
                        page.screenshot(path=target / f"{look}-{state}.png", full_page=folder is not None)
                server.shutdown()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
