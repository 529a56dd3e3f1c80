"""Flask: `Auth(app)`, a public first page, a page for administrators, and a sign-out button in a template.

flask --app reports --debug run
"""

from __future__ import annotations

from typing import Any

from flask import Flask, render_template_string

from nipo_auth_mw.flask import Auth, current_user, role_required

PAGE = "<h1>Reports of {{ current_user }}</h1>{{ sign_out_form(label='Leave') }}"


def create_app(**given: Any) -> Flask:
    """The app. Tests give `in_memory(…)`; without it the settings come from the environment."""
    app = Flask(__name__)
    app.config["NIPO_AUTH_PUBLIC_PATHS"] = "/"
    Auth(app, **given)

    @app.get("/")
    def index() -> str:
        return f"Welcome back, {current_user}" if current_user else "Reports. Please sign in."

    @app.get("/reports")
    def reports() -> str:
        return render_template_string(PAGE)

    @app.get("/figures")
    @role_required("admin")
    def figures() -> str:
        return "42"

    return app
