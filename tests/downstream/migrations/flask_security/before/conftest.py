import shutil

import pytest
from app import create_app, db, users


@pytest.fixture
def app(tmp_path):
    shutil.copy("seed.db", tmp_path / "app.db")
    app = create_app(
        SECRET_KEY="key of the app",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db",
        WTF_CSRF_ENABLED=False,
    )
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def sign_in_page():
    return "/login?next=/"


@pytest.fixture
def by_password():
    return lambda client, email, password: client.post("/login", data={"email": email, "password": password})


@pytest.fixture
def deactivate(app):
    def done(email):
        with app.app_context():
            users.deactivate_user(users.find_user(email=email))
            db.session.commit()

    return done
