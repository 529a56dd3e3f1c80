import shutil

import pytest
from app import User, create_app, db

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
def deactivate(app):
    def done(email):
        with app.app_context():
            db.session.execute(db.update(User).where(User.email == email).values(active=False))
            db.session.commit()

    return done
