"""The suite of the app with users of its own."""

from __future__ import annotations

import pytest
from members import Member, create_app, db

from nipo_auth_mw.testing import fast_hasher, in_memory, sign_in

PASSWORD = "asa-ichiban-no-nippo"


@pytest.fixture
def app(tmp_path):
    app = create_app(f"sqlite:///{tmp_path / 'members.db'}", **in_memory())
    with app.app_context():
        db.session.add(Member(email="Yamada@Example.com", name="山田", password=fast_hasher().hash(PASSWORD)))
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


def login(client, email="yamada@example.com"):
    return client.post("/-/auth/login", data={"email": email, "password": PASSWORD})


def test_a_member_signs_in_by_the_address_and_password_of_the_table(app):
    client = app.test_client()
    assert login(client, "YAMADA@example.com").status_code == 303
    assert client.get("/").text == "山田 has the number 1"


def test_a_member_who_left_is_out_at_once(app):
    client = app.test_client()
    sign_in(app.extensions["nipo_auth_mw"], client, "1")
    assert client.get("/").status_code == 200
    with app.app_context():
        db.session.get(Member, 1).left = True
        db.session.commit()
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 303
    assert login(client).status_code == 403


def test_a_changed_password_is_in_the_apps_own_table(app):
    client = app.test_client()
    login(client)
    form = {"current_password": PASSWORD, "password": "yuuhi-to-nagai-kaigi"}
    assert client.post("/-/auth/account/password", data=form).status_code == 303
    with app.app_context():
        assert fast_hasher().verify(db.session.get(Member, 1).password, "yuuhi-to-nagai-kaigi")
