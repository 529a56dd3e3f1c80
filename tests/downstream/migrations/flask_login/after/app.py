from flask import Flask, render_template, request
from flask_sqlalchemy import SQLAlchemy

from nipo_auth_mw import legacy
from nipo_auth_mw.flask import Auth, current_user, role_required
from nipo_auth_mw.stores import TableUsers

db = SQLAlchemy()


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(255), unique=True)
    password_hash = db.Column(db.String(255))
    name = db.Column(db.String(100))
    is_boss = db.Column(db.Boolean, default=False)


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer)
    text = db.Column(db.String(200))


users = TableUsers(
    lambda: db.engine,
    id=User.id,
    email=User.email,
    password_hash=User.password_hash,
    name=User.name,
    role=db.case((User.is_boss, "admin"), else_="staff"),
)


def create_app(**config):
    app = Flask(__name__)
    app.config.update(config)
    db.init_app(app)
    Auth(app, users=users, legacy_hashers=[legacy.werkzeug()])

    @app.route("/", methods=["GET", "POST"])
    def notes():
        if request.method == "POST":
            db.session.add(Note(user_id=int(current_user.id), text=request.form["text"]))
            db.session.commit()
        mine = db.session.scalars(db.select(Note).where(Note.user_id == int(current_user.id)))
        return render_template("notes.html", notes=mine)

    @app.get("/all")
    @role_required("admin")
    def every_note():
        return render_template("notes.html", notes=db.session.scalars(db.select(Note)))

    return app
