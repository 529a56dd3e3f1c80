"""The suite of the front end: what its script sends, and what it is answered."""

from __future__ import annotations

import re

import pytest
from notes_api import PUBLIC, STATIC, make
from webtest import TestApp

from nipo_auth_mw.testing import SoftPasskey, enrol_app, in_memory

PASSWORD = "asa-ichiban-no-nippo"


@pytest.fixture
def auth():
    auth = make(**in_memory(public_paths=PUBLIC))
    auth.accounts.create(email="yamada@example.com", name="山田", password=PASSWORD)
    return auth


@pytest.fixture
def script(auth):
    return TestApp(auth, extra_environ={"HTTP_ACCEPT": "application/json", "HTTP_SEC_FETCH_SITE": "same-origin"})


def login(script, password=PASSWORD):
    form = {"email": "yamada@example.com", "password": password}
    return script.post_json("/-/auth/login", form, expect_errors=True)


def test_the_page_and_its_script_are_public_and_the_notes_are_not(script):
    assert 'id="sign-in"' in script.get("/").text
    assert script.get("/static/app.js").status_int == 200
    for path in ("/api/notes", "/-/auth/session"):
        refused = script.get(path, expect_errors=True)
        assert (refused.status_int, refused.json["code"]) == (401, "sign_in_required")


def test_a_user_signs_in_writes_a_note_and_signs_out(script):
    assert login(script).json["user"]["name"] == "山田"
    assert script.get("/-/auth/session").json["user"]["email"] == "yamada@example.com"
    assert script.post_json("/api/notes", {"text": "<b>one</b>"}).json == {"notes": ["<b>one</b>"]}
    assert script.post_json("/-/auth/logout", {}).json["next"] == "/-/auth/login"
    assert script.get("/api/notes", expect_errors=True).status_int == 401


def test_a_passkey_is_added_and_signs_in(script):
    login(script)
    passkey, adding = SoftPasskey(), "/-/auth/account/security/passkeys"
    script.post_json(adding, {"credential": passkey.create(script.get(adding).json["options"])})
    script.post_json("/-/auth/logout", {})
    options = script.get("/-/auth/login/passkey").json["options"]
    assert (
        script.post_json("/-/auth/login/passkey", {"credential": passkey.get(options)}).json["user"]["name"] == "山田"
    )


def test_an_account_with_two_steps_goes_on_to_the_page_of_the_second(auth, script):
    enrol_app(auth, auth.accounts.find("yamada@example.com"))
    answer = login(script).json
    assert "user" not in answer
    assert answer["next"] == "/-/auth/login/second"


def test_a_refusal_has_a_sentence_for_the_user(script):
    refused = login(script, "wrong")
    assert (refused.status_int, refused.json["code"]) == (401, "invalid_credentials")
    assert refused.json["detail"]


def test_a_form_of_another_site_writes_no_note(script):
    login(script)
    assert script.post("/api/notes", {"text": "x"}, expect_errors=True).status_int == 415


def test_the_script_asks_for_paths_that_exist(script):
    login(script)
    paths = set(re.findall(r'send\("([^"]+)"', (STATIC / "app.js").read_text("utf-8")))
    assert {"/-/auth/login", "/-/auth/logout", "/-/auth/login/passkey", "/-/auth/session", "/api/notes"} == paths
    described = {f"/-/auth{path}" for path in script.get("/-/auth/openapi.json").json["paths"]}
    assert {path for path in paths if path.startswith("/-/auth/")} <= described
