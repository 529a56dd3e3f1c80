"""A host's own templates, logo, colours and mails."""

from __future__ import annotations

import pytest
from flask import Flask, render_template_string, request

from nipo_auth_mw import ConfigError, account_menu, auth_url, current_user, last_sign_in, sign_out_form
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import browser, middleware, person, seen, sign_in

PAGE = "{{ current_user.name }} <a href='{{ auth_url('account') }}'>A</a> {{ sign_out_form }}"


def flask_app():
    app = Flask(__name__)

    @app.context_processor
    def sign_in_helpers():
        environ = request.environ
        return {
            "current_user": current_user(environ),
            "auth_url": lambda route: auth_url(environ, route),
            "sign_out_form": sign_out_form(environ),
        }

    app.add_url_rule("/", "page", lambda: render_template_string(PAGE))
    return app


def test_a_hosts_template_names_the_person_links_to_the_account_and_signs_out():
    auth = middleware(flask_app())
    person(auth, name="<b>田中</b>")
    page = browser(auth)
    sign_in(page)
    answer = page.get("/")
    assert "&lt;b&gt;田中" in answer.text
    assert answer.click("A").status_int == 200
    assert answer.forms["sign-out"].submit().status_int == 303
    assert seen(page, "/") == ""


def test_a_hosts_logo_colours_and_mails_replace_ours_by_name(tmp_path):
    (tmp_path / "brand.html").write_text('<p class="brand"><img src="/static/logo.svg" alt="Reports"></p>')
    (tmp_path / "theme.css").write_text(":root { --accent: #804000; }")
    (tmp_path / "reset.mail.txt").write_text("Hello <{{ email }}>: {{ link }}")
    (tmp_path / "locale").mkdir()
    (tmp_path / "locale" / "en.toml").write_text('[mail.reset]\nsubject = "{site_name} & you"\n')
    mailer = MemoryMailer()
    auth = middleware(templates=tmp_path, mailer=mailer, site_name="Reports")
    person(auth)
    page = browser(auth)
    login = page.get("/-/auth/login")
    assert 'alt="Reports"' in login.text
    assert "#804000" in page.get(login.html.find("link", rel="stylesheet")["href"]).text
    page.post("/-/auth/forgot", {"email": "tanaka@example.com"})
    (mail,) = mailer.outbox
    assert mail.subject == "Reports & you"
    assert mail.text.startswith("Hello <tanaka@example.com>: http://localhost/-/auth/reset/")
    assert "Set a new password" in mail.html


def test_a_hosts_page_shows_whose_account_it_is_and_when_it_was_used_before():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        last = last_sign_in(environ)
        shown = f"{last.device} {last.client_address}" if last else "-"
        return [f"<p>{shown}</p>{account_menu(environ)}".encode()]

    auth = middleware(app, public_paths=["/public"])
    person(auth, name="<b>田中</b>")
    assert browser(auth).get("/public").text == "<p>-</p>"
    first = browser(auth, "192.0.2.7", HTTP_USER_AGENT="Mozilla/5.0 (Windows NT 10.0) Firefox/145.0")
    sign_in(first)
    assert first.get("/").html.p.text == "-"
    sign_in(browser(auth, "192.0.2.8"), password="machigai-password")
    second = browser(auth, "192.0.2.9")
    sign_in(second)
    page = second.get("/")
    assert page.html.p.text == "Firefox (Windows) 192.0.2.7"
    assert first.get("/").html.p.text == "-", "a later sign-in is no earlier one"
    assert "&lt;b&gt;田中" in page.text
    menu = page.html.select_one("details.nipo-menu")
    assert [link["href"] for link in menu.find_all("a")] == ["/-/auth/account", "/-/auth/help"]
    assert second.get("/").forms["sign-out"].submit().status_int == 303
    assert account_menu({}) == ""
    assert last_sign_in({}) is None


def logged(caplog, tmp_path, **files):
    for name, text in files.items():
        (tmp_path / name.replace("_html", ".html").replace("_css", ".css")).write_text(text)
    with caplog.at_level("WARNING", "nipo_auth_mw"):
        middleware(templates=tmp_path)
    return [record.getMessage() for record in caplog.records]


def test_a_misspelt_template_is_named_at_start(tmp_path, caplog):
    assert logged(caplog, tmp_path, lgin_html="Hello", teme_css=":root {}") == [
        "no page uses the template 'lgin.html'; a shipped one is called 'login.html'",
        "no page uses the template 'teme.css'; a shipped one is called 'theme.css'",
    ]


def test_a_template_of_the_hosts_own_that_another_one_names_is_none(tmp_path, caplog):
    page = "{% extends 'nipo_auth_mw/login.html' %}{% block extra %}{% include 'login2.html' %}{% endblock %}"
    base = "{% block title %}{% endblock %}{% block extra %}{% endblock %}"
    assert logged(caplog, tmp_path, login_html=page, login2_html="Welcome", layout_html=base) == []


def test_a_template_that_another_one_names_and_no_one_has_is_told_at_start(tmp_path, caplog):
    page = (
        "{% extends 'nipo_auth_mw/logn.html' %}{% block main %}{% include 'own.html' %}{% include \"base.html\" %}"
        "{%- import 'gone.html' as gone -%}{% include 'maybe.html' ignore missing %}{% include name %}{% endblock %}"
    )
    assert logged(caplog, tmp_path, login_html=page, own_html="Hello") == [
        "the template 'login.html' names 'nipo_auth_mw/logn.html', which does not exist",
        "the template 'login.html' names 'gone.html', which does not exist",
    ]


def test_a_block_that_no_template_has_is_named_at_start(tmp_path, caplog):
    page = "{% extends 'nipo_auth_mw/login.html' %}{% block titel %}Hello{% endblock %}"
    assert logged(caplog, tmp_path, login_html=page) == [
        "the template 'login.html' has a block 'titel' that no template above it has"
    ]


def test_a_broken_template_stops_the_start(tmp_path):
    (tmp_path / "login.html").write_text("Hello\n{% block %}")
    with pytest.raises(ConfigError, match=r"login\.html, line 2"):
        middleware(templates=tmp_path)
