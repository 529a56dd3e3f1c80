"""The tables of the app before, as its own package fills them."""

from pathlib import Path

from app import create_app, db, users
from flask import current_app
from flask_security import hash_password

app = create_app(
    SECRET_KEY="key of the app",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{Path.cwd().parent}/seed.db",
    SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={"argon2__memory_cost": 64, "argon2__rounds": 1},
)
with app.app_context():
    db.create_all()
    typed = current_app.extensions["users"]._password_util.normalize("pässword of the old app")
    users.create_user(email="taro@example.com", password=hash_password(typed))
    boss = users.create_user(email="boss@example.com", password=hash_password(typed))
    users.add_role_to_user(boss, users.create_role(name="admin"))
    db.session.commit()
    db.engine.dispose()
