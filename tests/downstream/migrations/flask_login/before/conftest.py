import shutil

import pytest
from app import User, create_app, db
from flask_login import FlaskLoginClient


@pytest.fixture
def app(tmp_path):
    shutil.copy("seed.db", tmp_path / "app.db")
    app = create_app(SECRET_KEY="key of the app", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db")
    app.test_client_class = FlaskLoginClient
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def sign_in_page():
    return "/login?next=%2F"


@pytest.fixture
def by_password():
    return lambda client, email, password: client.post("/login", data={"email": email, "password": password})


@pytest.fixture
def as_user():
    def signed_in(app, email):
        with app.app_context():
            user = db.session.scalars(db.select(User).where(db.func.lower(User.email) == email)).one()
        return app.test_client(user=user)

    return signed_in
