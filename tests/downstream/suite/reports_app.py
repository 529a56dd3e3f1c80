"""A host's app and its own user table, as a host would write them."""

import threading

from flask import Flask, request

from nipo_auth_mw import auth_url, current_session, current_user, require_role, require_user, sign_out_form
from nipo_auth_mw.models import Account

app = Flask(__name__)


@app.get("/")
def reports():
    user = current_user(request.environ)
    return f"{user.name}: {current_session(request.environ).kept} {sign_out_form(request.environ)}"


@app.get("/open")
def open_to_all():
    user = current_user(request.environ)
    return f"hello {user.name if user else 'stranger'}, {auth_url(request.environ, 'login', next='/')}"


@app.get("/open/mine")
def mine():
    return require_user(request.environ).email


@app.get("/staff")
def staff():
    return require_role(request.environ, "admin").name


class DictUsers:
    """The three methods of `UserStore` over a dict."""

    def __init__(self):
        self.rows = {}
        self.lock = threading.Lock()

    def add(self, email, password_hash, active=True):
        user_id = f"u{len(self.rows)}"
        self.rows[user_id] = Account(user_id, email, password_hash, active=active, name="own")
        return user_id

    def get(self, user_id):
        return self.rows.get(user_id)

    def find_by_email(self, email):
        return next((row for row in self.rows.values() if row.email == email), None)

    def set_password_hash(self, user_id, new, *, expected):
        with self.lock:
            row = self.rows.get(user_id)
            if row is None or row.password_hash != expected:
                return False
            self.rows[user_id] = Account(row.id, row.email, new, row.active, row.name, row.role)
            return True
