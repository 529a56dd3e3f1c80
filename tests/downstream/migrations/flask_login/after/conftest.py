import shutil

import pytest
from app import create_app, db

from nipo_auth_mw.testing import sign_in_as

pytest_plugins = ["nipo_auth_mw.testing.pytest_plugin"]


@pytest.fixture
def app(tmp_path):
    shutil.copy("seed.db", tmp_path / "app.db")
    app = create_app(SECRET_KEY="key of the app", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db")
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def sign_in_page():
    return "/-/auth/login?next=/"


@pytest.fixture
def by_password():
    return lambda client, email, password: client.post("/-/auth/login", data={"email": email, "password": password})


@pytest.fixture
def as_user():
    def signed_in(app, email):
        client = app.test_client()
        sign_in_as(app.wsgi_app, client, email)
        return client

    return signed_in
