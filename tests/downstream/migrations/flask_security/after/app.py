from flask import Flask
from flask_security.models import fsqla_v2 as fsqla
from flask_sqlalchemy import SQLAlchemy

from nipo_auth_mw import legacy
from nipo_auth_mw.flask import Auth, current_user, role_required
from nipo_auth_mw.models import Account

db = SQLAlchemy()
fsqla.FsModels.set_db_info(db)


class Role(db.Model, fsqla.FsRoleMixin):
    pass


class User(db.Model, fsqla.FsUserMixin):
    pass


def account(user):
    if user is None:
        return None
    role = "admin" if any(role.name == "admin" for role in user.roles) else "staff"
    return Account(str(user.id), user.email, user.password, user.active, user.username or "", role)


class Users:
    """The app's table as it is."""

    def get(self, user_id):
        return account(db.session.get(User, int(user_id))) if user_id.isascii() and user_id.isdigit() else None

    def find_by_email(self, email):
        asked = db.select(User).where(db.func.lower(User.email) == email).order_by(User.email != email, User.id)
        return account(db.session.scalars(asked).first())

    def set_password_hash(self, user_id, new, *, expected):
        stored = db.update(User).where(User.id == int(user_id), User.password.is_not_distinct_from(expected))
        done = db.session.execute(stored.values(password=new))
        db.session.commit()
        return done.rowcount == 1

    def search(self, text, *, after, limit):
        asked = db.select(User).where(
            User.email.contains(text, autoescape=True), db.true() if after is None else User.email > after
        )
        return [account(user) for user in db.session.scalars(asked.order_by(User.email).limit(limit))]


def create_app(**config):
    app = Flask(__name__)
    app.config.update(SECURITY_PASSWORD_SALT="the salt of the app")
    app.config.update(config)
    db.init_app(app)
    Auth(app, users=Users(), legacy_hashers=[legacy.flask_security(app.config["SECURITY_PASSWORD_SALT"])])

    @app.get("/")
    def index():
        return f"Hello, {current_user.email}."

    @app.get("/salaries")
    @role_required("admin")
    def salaries():
        return "All of them."

    return app
