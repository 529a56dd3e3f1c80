"""The table of the app before, as its own package fills it."""

from pathlib import Path

from app import User, create_app, db
from werkzeug.security import generate_password_hash

app = create_app(SECRET_KEY="key of the app", SQLALCHEMY_DATABASE_URI=f"sqlite:///{Path.cwd().parent}/seed.db")
with app.app_context():
    db.create_all()
    hashed = generate_password_hash("pässword of the old app", "scrypt:1024:8:1")
    db.session.add(User(email="taro@example.com", password_hash=hashed, name="Taro"))
    db.session.add(User(email="Boss@Example.com", password_hash=hashed, name="Boss", is_boss=True))
    db.session.commit()
    db.engine.dispose()
