from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, current_user, roles_required
from flask_security.models import fsqla_v2 as fsqla
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
fsqla.FsModels.set_db_info(db)


class Role(db.Model, fsqla.FsRoleMixin):
    pass


class User(db.Model, fsqla.FsUserMixin):
    pass


users = SQLAlchemyUserDatastore(db, User, Role)


def create_app(**config):
    app = Flask(__name__)
    app.config.update(
        SECURITY_PASSWORD_SALT="the salt of the app",
        SECURITY_RECOVERABLE=True,
        SECURITY_CHANGEABLE=True,
        SECURITY_TRACKABLE=True,
        SECURITY_POST_LOGIN_VIEW="/",
        SECURITY_EMAIL_SENDER="noreply@example.com",
    )
    app.config.update(config)
    db.init_app(app)
    app.extensions["users"] = Security(app, users)

    @app.get("/")
    @auth_required()
    def index():
        return f"Hello, {current_user.email}."

    @app.get("/salaries")
    @auth_required()
    @roles_required("admin")
    def salaries():
        return "All of them."

    return app
