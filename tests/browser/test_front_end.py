"""The front end of examples/json_notes in Chromium: a page and a script, and nothing of ours but JSON."""

from __future__ import annotations

import threading

import pytest
from werkzeug.serving import make_server

from examples.json_notes.notes_api import PUBLIC, make
from nipo_auth_mw.testing import in_memory
from tests._services import expect
from tests.browser.conftest import Quiet
from tests.kit import PASSWORD


@pytest.fixture
def notes(chromium):
    """The app on a real port: its URL and the middleware."""
    auth = make(**in_memory(public_paths=PUBLIC))
    auth.accounts.create(email="yamada@example.com", name="山田", password=PASSWORD)
    server = make_server("localhost", 0, auth, True, False, Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.port}", auth
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
        page.get_by_label("E-mail address").fill("yamada@example.com")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()

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
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    sign_in(PASSWORD + "-2")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("listitem")).to_have_count(0)
    assert problems == []
    page.close()
