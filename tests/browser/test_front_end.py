"""The front end of examples/json_notes in Chromium: a page and a script, and nothing of ours but JSON."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from examples.json_notes.notes_api import PUBLIC, make
from nipo_auth_mw.testing import in_memory
from tests._services import expect
from tests.browser.conftest import Quiet
from tests.browser.test_passkeys import Authenticator
from tests.kit import PASSWORD

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "json.md"
(USE_PASSKEY,) = re.findall(r"```js\n// passkey\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def notes(chromium):
    """The app on a real port: its URL and the middleware."""
    server = make_server("localhost", 0, lambda *_: [], True, False, Quiet)
    # A passkey is for one port.
    auth = make(**in_memory(public_paths=PUBLIC, base_url=f"http://localhost:{server.port}"))
    auth.accounts.create(email="yamada@example.com", name="山田", password=PASSWORD)
    server.app = auth
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield auth.config.base_url, auth
    server.shutdown()
    thread.join()
    server.server_close()


def test_sign_in_a_note_an_end_from_outside_and_sign_out(launched, notes):
    url, auth = notes
    page = launched.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(error))
    page.goto(url)

    def sign_in(password):
        page.get_by_label("Email").fill("yamada@example.com")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()

    sign_in("wrong")
    expect(page.get_by_role("alert")).not_to_be_empty()
    sign_in(PASSWORD)
    expect(page.get_by_text("Signed in as 山田")).to_be_visible()
    page.get_by_label("New note").fill("<b>milk</b>")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("listitem")).to_have_text("<b>milk</b>")
    page.reload()
    expect(page.get_by_role("listitem")).to_have_text("<b>milk</b>")
    auth.accounts.set_password("1", PASSWORD + "-2")
    page.get_by_label("New note").fill("eggs")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    sign_in(PASSWORD + "-2")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("listitem")).to_have_count(0)
    assert problems == []
    page.close()


def test_a_passkey_is_added_by_the_script_of_the_guide_and_signs_in(launched, notes):
    url, _ = notes
    page = launched.new_page()
    page.goto(url)
    page.get_by_label("Email").fill("yamada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Signed in as 山田")).to_be_visible()
    Authenticator(page).touch()

    def use(route):
        return page.evaluate(f"async (route) => {{ {USE_PASSKEY}; return (await usePasskey(route)).status; }}", route)

    assert use("account/security/passkeys") == 200
    assert use("account/confirm") == 200
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("Signed in as 山田")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    assert use("login/passkey") == 200
    page.close()
