from flask import Flask, render_template, request
from flask_sqlalchemy import SQLAlchemy

from nipo_auth_mw import legacy
from nipo_auth_mw.flask import Auth, current_user, role_required
from nipo_auth_mw.models import Account

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


def account(user):
    role = "admin" if user and user.is_boss else "staff"
    return user and Account(str(user.id), user.email, user.password_hash, True, user.name or "", role)


class Users:
    """The app's table as it is."""

    def get(self, user_id):
        return account(db.session.get(User, int(user_id))) if user_id.isascii() and user_id.isdigit() else None

    def find_by_email(self, email):
        asked = db.select(User).where(db.func.lower(User.email) == email).order_by(User.email != email, User.id)
        return account(db.session.scalars(asked).first())

    def set_password_hash(self, user_id, new, *, expected):
        stored = db.update(User).where(User.id == int(user_id), User.password_hash.is_not_distinct_from(expected))
        done = db.session.execute(stored.values(password_hash=new))
        db.session.commit()
        return done.rowcount == 1

    def search(self, text, *, after, limit):
        asked = db.select(User).where(
            User.email.contains(text, autoescape=True), db.true() if after is None else User.email > after
        )
        return [account(user) for user in db.session.scalars(asked.order_by(User.email).limit(limit))]


def create_app(**config):
    app = Flask(__name__)
    app.config.update(config)
    db.init_app(app)
    Auth(app, users=Users(), legacy_hashers=[legacy.werkzeug()])

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
