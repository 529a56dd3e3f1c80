from flask import Flask
from flask_security.models import fsqla_v2 as fsqla
from flask_sqlalchemy import SQLAlchemy

from nipo_auth_mw import legacy
from nipo_auth_mw.flask import Auth, current_user, role_required
from nipo_auth_mw.stores import TableUsers

db = SQLAlchemy()
fsqla.FsModels.set_db_info(db)


class Role(db.Model, fsqla.FsRoleMixin):
    pass


class User(db.Model, fsqla.FsUserMixin):
    pass


users = TableUsers(
    lambda: db.engine,
    id=User.id,
    email=User.email,
    password_hash=User.password,
    active=User.active,
    name=User.username,
    role=db.case((User.roles.any(name="admin"), "admin"), else_="staff"),
)


def create_app(**config):
    app = Flask(__name__)
    app.config.update(SECURITY_PASSWORD_SALT="the salt of the app")
    app.config.update(config)
    db.init_app(app)
    Auth(app, users=users, legacy_hashers=[legacy.flask_security(app.config["SECURITY_PASSWORD_SALT"])])

    @app.get("/")
    def index():
        return f"Hello, {current_user.email}."

    @app.get("/salaries")
    @role_required("admin")
    def salaries():
        return "All of them."

    return app
