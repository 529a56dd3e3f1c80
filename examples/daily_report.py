"""A small daily-report app (日報) without any password code, protected by nipo_auth_mw.

Run it and open http://localhost:8000. Its two databases and its secret key are in the folder `.daily_report` beside
this file; delete that folder to start again.
"""

from __future__ import annotations

import argparse
import secrets
import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import segno
from flask import Flask, Response, redirect, render_template_string, request, url_for
from markupsafe import Markup

from nipo_auth_mw import AuthConfig, AuthMiddleware, account_menu, auth_url, current_user, flash_message
from nipo_auth_mw.mailers import ConsoleMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import code_of, enrol_app

ACCOUNTS = (
    ("kanri@example.com", "umi-no-mieru-kaigi", "管理 担当", "admin", True),
    ("genba@example.com", "asa-ichiban-no-nippo", "現場 担当", "staff", True),
    ("kyushoku@example.com", "yasumi-no-aida-dake", "休職 中", "staff", False),
)
TWO_STEPS = ("nidankai@example.com", "kagi-wo-futatsu-kakeru", "二段 階")
"""The account with two steps. The page /phone is its phone."""

ZONE = ZoneInfo("Asia/Tokyo")
STYLE = Path(__file__).with_suffix(".css")
TEXTS = {
    "ja": {
        "title": "日報",
        "menu": "メニュー",
        "new": "日報を書く",
        "done": "今日やったこと",
        "send": "提出する",
        "sent": "提出しました。",
        "none": "まだ日報はありません。",
        "home": "ホーム",
        "account": "アカウント",
        "staff": "スタッフ管理",
        "audit": "ログ",
        "who": "{}さん、お疲れさまです。",
        "day": "{0:%Y/%m/%d}（{1}）",
        "days": "月火水木金土日",
        "reports": "最近の日報",
    },
    "en": {
        "title": "Daily reports",
        "menu": "Menu",
        "new": "Write a report",
        "done": "What I did today",
        "send": "Send",
        "sent": "Your report is sent.",
        "none": "No reports yet.",
        "home": "Home",
        "account": "Account",
        "staff": "Staff",
        "audit": "History",
        "who": "Hello, {}.",
        "day": "{1} {0:%d %b %Y}",
        "days": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        "reports": "Latest reports",
    },
}

HEAD = """<!doctype html>
<html lang="{{ lang }}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><link rel="stylesheet" href="/app.css">
"""

PAGE = (
    HEAD
    + """<title>{{ t.title }}</title></head><body>
<header><div class="bar"><a class="brand" href="/"><span class="mark" aria-hidden="true">日</span>日報</a>{{ menu }}
</div>
<nav aria-label="{{ t.menu }}"><a href="/" aria-current="page">{{ t.home }}</a>
{% for route in ("account", "staff", "audit") if route == "account" or user.role == "admin" %}
<a href="{{ url(route) }}">{{ t[route] }}</a>{% endfor %}</nav></header>
<main>{% if message %}<p class="flash" role="status">{{ message }}</p>{% endif %}
<h1>{{ t.title }}</h1><p id="who">{{ t.who.format(user.name or user.email) }}</p>
<section class="card"><h2>{{ t.new }}</h2><p class="advice">{{ today }}</p>
<form method="post" id="report"><label for="body">{{ t.done }}</label>
<textarea id="body" name="body" required maxlength="4000"></textarea><button class="main">{{ t.send }}</button></form>
</section><h2>{{ t.reports }}</h2>
{% for day, author, body in reports %}<article><h2>{{ author }} <time>{{ day }}</time></h2>{{ body }}</article>
{% else %}<p>{{ t.none }}</p>{% endfor %}</main></body></html>"""
)

MAILS = (
    HEAD
    + """<title>Mails / メール</title></head><body><main><h1>Mails / メール</h1>
{% for mail in mails %}<section class="card"><h2>{{ mail.subject }}</h2><p class="advice">To: {{ mail.to }}</p>
<pre>{{ mail.text | urlize }}</pre></section>
{% else %}<p>No mails yet. / メールはまだありません。</p>{% endfor %}</main></body></html>"""
)

PHONE = (
    HEAD
    + """<meta http-equiv="refresh" content="5"><title>Phone / スマートフォン</title></head><body><main>
<h1>Phone / スマートフォン</h1><section class="card"><h2>{{ email }}</h2>
<p>Code now / 今の認証コード</p><p class="code">{{ code }}</p>
<p class="advice">Each code works once, and a new one comes every 30 seconds.<br>
1つのコードは1回だけ使えます。30秒ごとに新しくなります。</p></section>
<section class="card"><h2>Authenticator app / 認証アプリ</h2><p>{{ picture }}</p>
<p class="advice">A real phone can scan this. / お手持ちのスマートフォンでも読み取れます。</p></section></main>
</body></html>"""
)


def shown(day: date, t: dict[str, Any]) -> str:
    """The day with its weekday, as people in this language write it."""
    return str(t["day"]).format(day, t["days"][day.weekday()])


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
        lang = lang if lang in TEXTS else "en"
        t = TEXTS[lang]
        found = run("SELECT day, author, body FROM report ORDER BY id DESC LIMIT 50")
        return render_template_string(
            PAGE,
            lang=lang,
            t=t,
            today=shown(datetime.now(ZONE).date(), t),
            user=current_user(request.environ),
            url=lambda route: auth_url(request.environ, route),
            menu=account_menu(request.environ),
            message=t["sent"] if request.args.get("sent") else flash_message(request.environ),
            reports=[(shown(date.fromisoformat(day), t), author, body) for day, author, body in found],
        )

    @app.post("/")
    def send() -> Any:
        user = current_user(request.environ)
        author = (user.name or user.email) if user else ""
        run(
            "INSERT INTO report (day, author, body) VALUES (?, ?, ?)",
            datetime.now(ZONE).date().isoformat(),
            author,
            request.form["body"],
        )
        return redirect(url_for("reports", sent=1), 303)

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
            secret_key=kept(folder / "secret", lambda: secrets.token_urlsafe(48)),
            base_url=base_url,
            site_name="日報",
            public_paths=["/mails", "/phone", "/app.css"],
            timezone=ZONE.key,
            **settings,
        ),
        store=store,
        mailer=mailer,
    )
    app.add_url_rule("/mails", "mails", lambda: render_template_string(MAILS, lang="ja", mails=mailer.kept))
    app.add_url_rule("/app.css", "style", lambda: Response(STYLE.read_text("utf-8"), mimetype="text/css"))
    app.extensions["nipo_auth_mw"] = auth
    app.extensions["demo_mailer"] = mailer
    for email, password, name, role, active in ACCOUNTS:
        if auth.accounts.find(email) is None:
            auth.accounts.create(email=email, password=password, name=name, role=role, active=active)
    return app


def two_steps(app: Flask, folder: Path) -> str:
    """The account with two steps, and its phone as the page /phone. Returns the key of its authenticator app."""
    auth: AuthMiddleware = app.extensions["nipo_auth_mw"]
    email, password, name = TWO_STEPS
    user = auth.accounts.find(email) or auth.accounts.create(email=email, password=password, name=name)
    key = kept(folder / "app-key", lambda: enrol_app(auth, user))
    issuer = quote("日報")
    uri = f"otpauth://totp/{issuer}:{email}?secret={key.replace(' ', '')}&issuer={issuer}"
    picture = Markup(segno.make(uri, micro=False).svg_inline(scale=4, light="#fff"))  # nosec B704

    @app.get("/phone")
    def phone() -> str:
        return render_template_string(PHONE, lang="ja", email=email, code=code_of(key), picture=picture)

    return key


def kept(file: Path, made: Callable[[], str]) -> str:
    """The text of this file, which is made once and stored for the next start."""
    if not file.exists():
        text = made()
        file.touch(mode=0o600)
        file.write_text(text)
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
    key, (email, password, _) = two_steps(app, given.folder), TWO_STEPS
    print(f"  {email:22} {password:22} staff, two steps / 2段階認証")
    print(f"\n  code now / 今の認証コード: {code_of(key)}\n  phone / スマートフォン: {url}/phone   key / キー: {key}")
    print(f"\n  mails / メール: {url}/mails\n", flush=True)
    app.run(port=given.port, threaded=True)


if __name__ == "__main__":
    main()
