"""A host's app."""

from flask import Flask, request

from nipo_auth_mw import auth_url, current_session, current_user, require_role, require_user, sign_out_form

app = Flask(__name__)


@app.get("/")
def reports():
    user = current_user(request.environ)
    return f"{user.name}: {current_session(request.environ).persistent} {sign_out_form(request.environ)}"


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
