from email.message import EmailMessage

from flask import Flask, abort, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_sqlalchemy import SQLAlchemy
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.security import check_password_hash, generate_password_hash

db = SQLAlchemy()
manager = LoginManager()
manager.login_view = "login"
outbox = []


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(255), unique=True)
    password_hash = db.Column(db.String(255))
    name = db.Column(db.String(100))
    is_boss = db.Column(db.Boolean, default=False)


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer)
    text = db.Column(db.String(200))


@manager.user_loader
def load_user(user_id):
    return db.session.get(User, int(user_id))


def by_email(email):
    return db.session.scalars(db.select(User).where(db.func.lower(User.email) == email.strip().lower())).first()


def create_app(**config):
    app = Flask(__name__)
    app.config.update(config)
    db.init_app(app)
    manager.init_app(app)
    links = URLSafeTimedSerializer(app.config["SECRET_KEY"], "reset")

    @app.route("/login", methods=["GET", "POST"])
    def login():
        if request.method == "GET":
            return render_template("login.html")
        user = by_email(request.form["email"])
        if user is None or not check_password_hash(user.password_hash, request.form["password"]):
            return render_template("login.html", problem="Wrong address or password."), 401
        login_user(user, remember=True)
        wanted = request.args.get("next", "/")
        return redirect(wanted if wanted.startswith("/") and not wanted.startswith("//") else "/")

    @app.post("/logout")
    @login_required
    def logout():
        logout_user()
        return redirect(url_for("login"))

    @app.route("/forgot", methods=["GET", "POST"])
    def forgot():
        if request.method == "POST":
            user = by_email(request.form["email"])
            if user is not None:
                mail = EmailMessage()
                mail["To"] = user.email
                token = links.dumps([user.id, user.password_hash[-8:]])
                mail.set_content(url_for("reset", token=token, _external=True))
                outbox.append(mail)
        return render_template("ask_link.html", sent=request.method == "POST")

    @app.route("/reset/<token>", methods=["GET", "POST"])
    def reset(token):
        try:
            user_id, end = links.loads(token, max_age=3600)
        except BadSignature:
            abort(404)
        user = load_user(user_id)
        if user is None or user.password_hash[-8:] != end:
            abort(404)
        if request.method == "GET":
            return render_template("new_word.html")
        user.password_hash = generate_password_hash(request.form["password"])
        db.session.commit()
        return redirect(url_for("login"))

    @app.route("/", methods=["GET", "POST"])
    @login_required
    def notes():
        if request.method == "POST":
            db.session.add(Note(user_id=int(current_user.id), text=request.form["text"]))
            db.session.commit()
        mine = db.session.scalars(db.select(Note).where(Note.user_id == int(current_user.id)))
        return render_template("notes.html", notes=mine)

    @app.get("/all")
    @login_required
    def every_note():
        if not current_user.is_boss:
            abort(403)
        return render_template("notes.html", notes=db.session.scalars(db.select(Note)))

    return app
