"""A small daily-report app (日報) without any password code, protected by nipo_auth_mw.

Run it and open http://localhost:8000. Its two databases and its secret key are in the folder `.daily_report` beside
this file; delete that folder to start again.
"""

from __future__ import annotations

import argparse
import secrets
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

from flask import Flask, redirect, render_template_string, request, url_for

from nipo_auth_mw import AuthConfig, AuthMiddleware, auth_url, current_user, sign_out_form
from nipo_auth_mw.mailers import ConsoleMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.stores import SQLStore

ACCOUNTS = (
    ("kanri@example.com", "umi-no-mieru-kaigi", "管理 担当", "admin", True),
    ("genba@example.com", "asa-ichiban-no-nippo", "現場 担当", "staff", True),
    ("kyushoku@example.com", "yasumi-no-aida-dake", "休職 中", "staff", False),
)

TEXTS = {
    "ja": {
        "title": "日報",
        "new": "日報を書く",
        "done": "今日やったこと",
        "send": "提出する",
        "none": "まだ日報はありません。",
        "account": "アカウント",
        "settings": "組織設定",
        "staff": "スタッフ管理",
        "audit": "ログ",
        "who": "さん",
    },
    "en": {
        "title": "Daily reports",
        "new": "Write a report",
        "done": "What I did today",
        "send": "Send",
        "none": "No reports yet.",
        "account": "Account",
        "settings": "Settings",
        "staff": "Staff",
        "audit": "History",
        "who": "",
    },
}

PAGE = """<!doctype html>
<html lang="{{ lang }}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{{ t.title }}</title><style>
:root{color-scheme:light dark}
body{background:Canvas;color:CanvasText;
 font:16px/1.7 system-ui,"Hiragino Sans","Noto Sans CJK JP",sans-serif;max-width:40rem;margin:0 auto;padding:1rem}
header{display:flex;flex-wrap:wrap;gap:1rem;align-items:center;border-bottom:1px solid #8886}
header h1{font-size:1.3rem;margin-right:auto} textarea{width:100%;min-height:8rem;font:inherit;box-sizing:border-box}
button{font:inherit;padding:.5rem 1rem;min-height:2.75rem}
nav{display:flex;flex-wrap:wrap;gap:.5rem 1rem;padding:.75rem 0;border-bottom:1px solid #8886}
nav a,header a{padding:.5rem 0}
a{color:#165a7c} @media (prefers-color-scheme:dark){a{color:#85c2e3}}
 article{border-bottom:1px solid #8886;white-space:pre-wrap}
</style></head><body>
<header><h1>{{ t.title }}</h1><span id="who">{{ user.name or user.email }}{{ t.who }}</span>
<a href="{{ account }}">{{ t.account }}</a>{{ sign_out }}</header>
{% if user.role == "admin" %}<nav aria-label="{{ t.settings }}">{{ t.settings }} ›
<a href="{{ staff }}">{{ t.staff }}</a> <a href="{{ audit }}">{{ t.audit }}</a></nav>{% endif %}
<main><h2>{{ t.new }}</h2>
<form method="post" id="report"><label for="body">{{ t.done }}</label>
<textarea id="body" name="body" required maxlength="4000"></textarea><p><button>{{ t.send }}</button></p></form>
{% for day, author, body in reports %}<article><strong>{{ day }} {{ author }}</strong>
{{ body }}</article>{% else %}<p>{{ t.none }}</p>{% endfor %}</main>
</body></html>"""


MAILS = """<!doctype html>
<html lang="ja"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>Mails / メール</title><style>:root{color-scheme:light dark}
body{font:16px/1.7 system-ui,"Hiragino Sans","Noto Sans CJK JP",sans-serif;max-width:40rem;margin:0 auto;padding:1rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;border-bottom:1px solid #8886;padding-bottom:1rem}
</style></head><body><main><h1>Mails / メール</h1>
{% for mail in mails %}<h2>{{ mail.subject }}</h2><p>To: {{ mail.to }}</p><pre>{{ mail.text | urlize }}</pre>
{% else %}<p>No mails yet. / メールはまだありません。</p>{% endfor %}</main></body></html>"""


class DemoMailer(ConsoleMailer):
    """Prints mails and stores them for the page /mails, which no real app should have."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Message] = []

    def send(self, message: Message) -> None:
        """Print the mail and store it."""
        super().send(message)
        self.kept.insert(0, message)


def daily_report(database: Path) -> Flask:
    """The app without sign-in. It reads the current user and nothing else of the middleware."""
    app = Flask(__name__)

    def run(sql: str, *values: str) -> list[Any]:
        with sqlite3.connect(database) as connection:
            rows = connection.execute(sql, values).fetchall()
        connection.close()
        return rows

    run("CREATE TABLE IF NOT EXISTS report (id INTEGER PRIMARY KEY, day TEXT, author TEXT, body TEXT)")

    @app.get("/")
    def reports() -> str:
        lang = request.cookies.get("nipo_lang") or request.accept_languages.best_match(list(TEXTS)) or "en"
        return render_template_string(
            PAGE,
            lang=lang if lang in TEXTS else "en",
            t=TEXTS.get(lang, TEXTS["en"]),
            user=current_user(request.environ),
            account=auth_url(request.environ, "account"),
            staff=auth_url(request.environ, "staff"),
            audit=auth_url(request.environ, "audit"),
            sign_out=sign_out_form(request.environ),
            reports=run("SELECT day, author, body FROM report ORDER BY id DESC LIMIT 50"),
        )

    @app.post("/")
    def send() -> Any:
        user = current_user(request.environ)
        author = (user.name or user.email) if user else ""
        run(
            "INSERT INTO report (day, author, body) VALUES (?, ?, ?)",
            date.today().isoformat(),
            author,
            request.form["body"],
        )
        return redirect(url_for("reports"), 303)

    return app


def protected(folder: Path, base_url: str, mailer: Any = None, **settings: Any) -> Flask:
    """The same app behind the middleware."""
    folder.mkdir(exist_ok=True)
    app = daily_report(folder / "reports.db")
    mailer = mailer or DemoMailer()
    store = SQLStore(f"sqlite:///{folder / 'auth.db'}")
    store.create_schema()
    app.wsgi_app = auth = AuthMiddleware(  # type: ignore[method-assign]
        app.wsgi_app,
        AuthConfig(
            secret_key=secret(folder),
            base_url=base_url,
            site_name="日報",
            public_paths=["/mails"],
            timezone="Asia/Tokyo",
            **settings,
        ),
        store=store,
        mailer=mailer,
    )
    app.add_url_rule("/mails", "mails", lambda: render_template_string(MAILS, mails=mailer.kept))
    app.extensions["nipo_auth_mw"] = auth
    app.extensions["demo_mailer"] = mailer
    for email, password, name, role, active in ACCOUNTS:
        if auth.accounts.find(email) is None:
            auth.accounts.create(email=email, password=password, name=name, role=role, active=active)
    return app


def secret(folder: Path) -> str:
    """The secret key, made once and stored, so that users stay signed in after a restart of the server."""
    file = folder / "secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(48))
    return file.read_text()


def main() -> None:
    """Serve the app and print its accounts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8000)
    options.add_argument("--folder", type=Path, default=Path(__file__).parent / ".daily_report")
    given = options.parse_args()
    url = f"http://localhost:{given.port}"
    app = protected(given.folder.absolute(), url)
    print(f"\n  {url}\n")
    for email, password, _, role, active in ACCOUNTS:
        print(f"  {email:22} {password:22} {role if active else 'disabled / 無効'}")
    print(f"\n  mails / メール: {url}/mails\n", flush=True)
    app.run(port=given.port, threaded=True)


if __name__ == "__main__":
    main()
