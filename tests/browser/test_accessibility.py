"""Every page in every state under axe-core and, for longer, Lighthouse; both come from npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests._services import absent
from tests.browser.test_door import opened, sign_in
from tests.browser.test_forgotten import ask, mailed_link
from tests.browser.walks import ADMIN, at_the_account, at_the_door, at_the_first_time, at_the_staff, at_two_steps

MODULES = Path(__file__).parent / "node_modules"
CATEGORIES = ("accessibility", "best-practices")


@pytest.fixture(scope="session")
def axe():
    script = MODULES / "axe-core" / "axe.min.js"
    if not script.exists():
        absent("axe-core is not installed (npm install --prefix tests/browser --no-package-lock)")
    return script.read_text("utf-8")


# Voice control finds a button by the words on it (WCAG 2.2, 2.5.3), which axe asks for only if it is told to.
ALL = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
FAULTS = "async rules => (await axe.run(rules)).violations.map(v => [v.id, v.nodes.map(n => n.html)])"


@pytest.mark.parametrize(("language", "width"), [("ja-JP", 320), ("en-GB", 1200)])
@pytest.mark.parametrize(
    ("walk", "amount"),
    [(at_the_door, 18), (at_the_first_time, 13), (at_the_account, 14), (at_two_steps, 20), (at_the_staff, 25)],
)
def test_no_page_has_a_fault_that_axe_finds_or_needs_to_be_scrolled_sideways(
    demo, new_browser, axe, language, width, walk, amount
):
    page = new_browser(language, color_scheme="light", viewport={"width": width, "height": 800}).new_page()
    faults, seen = [], []
    for state in walk(demo, page):
        seen.append(state)
        page.evaluate(axe)
        faults += [(state, *each) for each in page.evaluate(FAULTS, ALL)]
        # The dark page is the same document in other colours.
        page.emulate_media(color_scheme="dark")
        faults += [(state, "dark", *each) for each in page.evaluate(FAULTS, {"runOnly": ["color-contrast"]})]
        page.emulate_media(color_scheme="light")
        for size in ("200%", ""):
            page.evaluate("size => document.documentElement.style.fontSize = size", size)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                faults.append((state, "scrolls sideways", size))
    assert faults == []
    assert len(seen) == amount, seen


SIGNED_IN = ("account", "account/password", "account/email", "staff", "staff/create", "staff/bulk", "audit")
SIGNED_IN += ("audit/usage", "logout")


@pytest.mark.long
@pytest.mark.parametrize("state", ["login", "forgot", "sent", "reset", "help", "expired", *SIGNED_IN])
def test_lighthouse_gives_every_page_a_hundred(demo, new_browser, chromium, tmp_path, state):
    """For accessibility and for best practices."""
    tool = MODULES / ".bin" / "lighthouse"
    if not tool.exists() or shutil.which("node") is None:
        absent("Lighthouse is not installed (npm install --prefix tests/browser --no-package-lock)")
    headers = {}
    url = f"{demo.url}/-/auth/{'login' if state == 'login' else state}"
    page = opened(new_browser(), demo, "/-/auth/forgot")
    if state == "reset":
        ask(page)
        url = mailed_link(demo)
    elif state in ("sent", "expired"):
        # Lighthouse asks with GET only, and refuses to look at an answer of 410.
        if state == "sent":
            ask(page)
        else:
            page.goto(f"{demo.url}/-/auth/reset/x")
        html = page.content()
        demo.serve_at("/sent", html)
        url = f"{demo.url}/sent"
    elif state in SIGNED_IN:
        app = opened(page.context, demo)
        sign_in(app, *ADMIN)
        app.locator("#who").wait_for()
        cookie = next(c for c in page.context.cookies() if c["name"].startswith("nipo_auth"))
        headers = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    report = tmp_path / "report.json"
    flags = " ".join(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
    command = [str(tool), url, "--output=json", f"--output-path={report}", "--quiet"]
    command += [f"--only-categories={','.join(CATEGORIES)}"]
    command += [f"--chrome-flags={flags}", f"--extra-headers={json.dumps(headers)}"]
    environ = {**os.environ, "CHROME_PATH": chromium}
    subprocess.run(command, env=environ, check=False, timeout=150, capture_output=True)
    found = json.loads(report.read_text())
    failed = [name for name, audit in found["audits"].items() if audit["score"] == 0]
    assert {name: each["score"] for name, each in found["categories"].items()} == dict.fromkeys(CATEGORIES, 1), failed
    assert failed == []
    assert found["finalDisplayedUrl"] == url
