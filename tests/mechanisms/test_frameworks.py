"""The dozen lines around real frameworks, and a host's own user table."""

from __future__ import annotations

import re
import time
from pathlib import Path

import a2wsgi
import bottle
import falcon
import flask
import pytest
import sqlalchemy as sa
import time_machine
import werkzeug
from pyramid.authorization import ACLHelper, Allow, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPUnauthorized
from pyramid.response import Response as PyramidResponse
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.test import Client

from examples.own_users import PeopleStore, Person, people
from nipo_auth_mw import (
    AuthMiddleware,
    LockoutPolicy,
    auth_url,
    current_user,
    require_fresh,
    require_role,
    require_user,
    sign_out_form,
)
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, in_memory, link_in, sign_in_as
from tests._services import needed
from tests.kit import PASSWORD, browser, middleware, person, seen, sign_in
from tests.security.django_site import django_app

HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


def flask_app():
    app = flask.Flask("reports")

    @app.get("/who")
    def who():
        user = current_user(flask.request.environ)
        return f"user={user.id if user else '-'} {sign_out_form(flask.request.environ)}"

    @app.get("/open/mine")
    def mine():
        return require_user(flask.request.environ).email

    @app.get("/open/admins")
    def admins():
        return require_role(flask.request.environ, "admin").email

    @app.get("/open/link")
    def link():
        return auth_url(flask.request.environ, "logout", next="/open/link?x=1")

    return app


def bottle_app():
    app = bottle.Bottle()

    @app.get("/who")
    def who():
        return f"user={bottle.request.environ.get('REMOTE_USER', '-')} {sign_out_form(bottle.request.environ)}"

    return app


def bare_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [f"user={environ.get('REMOTE_USER', '-')} {sign_out_form(environ)}".encode()]


@pytest.mark.parametrize("make", [flask_app, bottle_app, lambda: bare_app], ids=["flask", "bottle", "bare"])
def test_sign_in_identity_and_sign_out_from_the_apps_own_page(make):
    auth = middleware(make())
    person(auth)
    test_app = browser(auth)
    form = test_app.get(test_app.get("/who").location).forms["login"]
    form["email"], form["password"] = "tanaka@example.com", PASSWORD
    page = form.submit().follow()
    assert page.text.startswith("user=1")
    assert page.forms["sign-out"].submit().location == "/-/auth/login"
    assert test_app.get("/who").status_int == 303


def test_django_inside_is_reached_by_signed_in_people_only():
    ran = []
    auth = middleware(django_app(ran))
    person(auth)
    test_app = browser(auth)
    assert test_app.get("/inside/secret").status_int == 303
    assert ran == []
    sign_in(test_app)
    assert test_app.get("/inside/secret").text == "secret"


def test_flask_views_ask_for_a_person_or_a_role():
    auth = middleware(flask_app(), public_paths=["/open/*"])
    person(auth)
    test_app = browser(auth)
    assert test_app.get("/open/mine").location == "/-/auth/login?next=/open/mine"
    assert test_app.get("/open/admins").location == "/-/auth/login?next=/open/admins"
    assert test_app.get("/open/link").text == "/-/auth/logout?next=%2Fopen%2Flink%3Fx%3D1"
    sign_in(test_app)
    assert test_app.get("/open/mine").text == "tanaka@example.com"
    assert test_app.get("/open/admins", expect_errors=True).status_int == 403
    auth.accounts.set_role("1", "admin")
    assert test_app.get("/open/admins").text == "tanaka@example.com"


def test_names_are_escaped_and_visitors_get_no_button():
    auth = middleware(bare_app, public_paths=["/*"])
    assert "<form" not in browser(auth).get("/who").text


def test_outside_the_middleware_the_helpers_are_empty():
    assert (auth_url({}, "login"), sign_out_form({}), current_user({"REMOTE_USER": "1"})) == ("", "", None)
    for check in (require_user, require_fresh, lambda environ: require_role(environ, "admin")):
        with pytest.raises(Unauthorized):
            check({})


@pytest.fixture(params=["memory", "sqlite"])
def own(request, tmp_path):
    """A host with its own table of people, and a store of ours beside it."""
    engine = people(f"sqlite:///{tmp_path / 'people.db'}")
    store = MemoryStore()
    if request.param == "sqlite":
        store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
        store.create_schema()
    with engine.begin() as connection:
        row = {"mail": "own@example.com", "secret": fast_hasher().hash(PASSWORD), "is_active": True, "is_boss": True}
        connection.execute(sa.insert(Person).values(row))
    yield middleware(store=store, users=PeopleStore(engine)), engine
    engine.dispose()
    if request.param == "sqlite":
        store.close()


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"secret": "$argon2id$other"}, {"secret": None}, {"mail": "moved@example.com"}],
)
def test_the_hosts_own_sql_ends_sessions_at_the_next_request(own, change):
    auth, engine = own
    test_app = browser(auth)
    assert sign_in(test_app, "own@example.com").status_int == 303
    assert seen(test_app) == "1"
    with engine.begin() as connection:
        before = connection.execute(sa.select(*[getattr(Person, name) for name in change])).one()
        connection.execute(sa.update(Person).values(change))
    assert seen(test_app) == ""
    with engine.begin() as connection:
        connection.execute(sa.update(Person).values(dict(zip(change, before, strict=True))))
    assert seen(test_app) == "", "an earlier state brings nothing back to life"
    assert sign_in(test_app, "own@example.com").status_int == 303


def test_an_address_as_it_was_typed_signs_in_in_any_case_and_gets_its_link(own):
    _, engine = own
    auth = middleware(users=PeopleStore(engine), mailer=(mailer := MemoryMailer()), lockout=LockoutPolicy(failures=2))
    with engine.begin() as connection:
        connection.execute(sa.update(Person).values(mail="Own@Example.com"))
        lower = {"mail": "OTHER@example.com", "secret": fast_hasher().hash("x"), "is_active": True, "is_boss": False}
        connection.execute(sa.insert(Person).values([lower, {**lower, "mail": "other@example.com", "is_boss": True}]))
    for typed in ("Own@Example.com", "own@example.com", " OWN@EXAMPLE.COM"):
        assert sign_in(browser(auth), typed).status_int == 303
    # Of two that differ in case alone, the one in the canonical form signs in.
    assert auth.accounts.find("Other@Example.com").role == "admin"
    browser(auth).post("/-/auth/forgot", {"email": "own@example.com"})
    (message,) = mailer.outbox
    assert message.to == "Own@Example.com"
    new = "shiroi-kumo-to-aoi-umi"
    assert browser(auth).post(link_in(message), {"password": new}).status_int == 303
    assert sign_in(browser(auth), "own@example.com", PASSWORD).status_int == 401
    assert sign_in(browser(auth), "OWN@example.com", PASSWORD).status_int == 401
    assert sign_in(browser(auth), "Own@Example.com", new).status_int == 429, "one count for all spellings"
    auth.accounts.unlock(auth.accounts.find("own@example.com").id)
    assert sign_in(browser(auth), "Own@Example.com", new).status_int == 303


def test_a_null_name_and_an_own_role_are_fine(own):
    auth, _ = own
    user = auth.accounts.find("own@example.com")
    assert (user.name, user.role, user.active) == ("", "admin", True)


def test_a_row_that_is_gone_ends_the_session(own):
    auth, engine = own
    test_app = browser(auth)
    sign_in(test_app, "own@example.com")
    with engine.begin() as connection:
        connection.execute(sa.delete(Person))
    assert seen(test_app) == ""


def of_the_docs(begins: str, **given) -> dict:
    """What the block of docs/guides/frameworks.md defines that begins with this comment; `given` are its names."""
    text = (Path(__file__).parents[2] / "docs" / "guides" / "frameworks.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (block,) = [one for one in blocks if one.startswith((f"# {begins}\n", f"# {begins}:"))]
    defined: dict = dict(given)
    exec(block, defined)
    return defined


def bare_that_refuses():
    def app(environ, start_response):
        text = VIEWS[environ["PATH_INFO"]](environ).email
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    return app


def bottle_that_refuses():
    app = bottle.Bottle()
    of_the_docs("Bottle", app=app)
    for place, view in VIEWS.items():
        app.route(place, callback=lambda view=view: view(bottle.request.environ).email)
    return app


def falcon_that_refuses():
    app = falcon.App()
    of_the_docs("Falcon", app=app, werkzeug=werkzeug)

    class Page:
        def __init__(self, view):
            self.view = view

        def on_get(self, request, response):
            response.text = self.view(request.env).email

    for place, view in VIEWS.items():
        app.add_route(place, Page(view))
    return app


def pyramid_that_refuses():
    with Configurator() as config:
        for place, view in VIEWS.items():
            config.add_route(place, place)
            config.add_view(lambda request, view=view: PyramidResponse(view(request.environ).email), route_name=place)
        return config.make_wsgi_app()


def starlette_that_refuses():
    needed("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response

    app = Starlette()
    of_the_docs("Starlette", app=app, werkzeug=werkzeug, Response=Response)
    for place, view in VIEWS.items():

        async def answer(request, view=view):
            return PlainTextResponse(view(request.scope["wsgi_environ"]).email)

        app.add_route(place, answer)
    return a2wsgi.ASGIMiddleware(app)


def asgi_that_refuses():
    async def app(scope, receive, send):
        try:
            text, status = VIEWS[scope["path"]](scope["wsgi_environ"]).email, 200
        except HTTPException as refusal:
            text, status = "", refusal.code
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": text.encode()})

    return a2wsgi.ASGIMiddleware(app)


VIEWS = {
    "/open/mine": require_user,
    "/open/admins": lambda environ: require_role(environ, "admin"),
    "/open/sensitive": require_fresh,
}


REFUSING = [bare_that_refuses, bottle_that_refuses, falcon_that_refuses, pyramid_that_refuses, starlette_that_refuses]


@pytest.mark.parametrize("make", REFUSING)
def test_what_the_docs_say_of_other_frameworks_makes_answers_of_refusals(make):
    auth = middleware(make(), public_paths=["/open/*"])
    person(auth)
    visitor, member = browser(auth), browser(auth)
    for place in VIEWS:
        assert visitor.get(place, headers=HTML).location == f"/-/auth/login?next={place}"
    sign_in(member)
    assert member.get("/open/mine").text == "tanaka@example.com"
    assert member.get("/open/admins", expect_errors=True).status_int == 403
    assert member.get("/open/sensitive").text == "tanaka@example.com"
    with time_machine.travel(time.time() + 3600):
        assert member.get("/open/sensitive", headers=HTML).location == "/-/auth/account/confirm?next=/open/sensitive"


def test_an_asgi_app_behind_the_middleware_knows_its_user():
    auth = middleware(asgi_that_refuses(), public_paths=["/open/*"])
    person(auth)
    visitor, member = browser(auth), browser(auth)
    assert visitor.get("/open/mine", headers=HTML).location == "/-/auth/login?next=/open/mine"
    sign_in(member)
    assert member.get("/open/mine").text == "tanaka@example.com"
    assert member.get("/open/admins", expect_errors=True).status_int == 403


def test_a_security_policy_of_pyramid_asks_the_acl_with_the_role_of_the_user():
    class Root:
        def __init__(self, request):
            self.__acl__ = [(Allow, Authenticated, "view"), (Allow, "role:admin", "edit")]

    with Configurator(root_factory=Root) as config:
        given = {"Everyone": Everyone, "Authenticated": Authenticated, "ACLHelper": ACLHelper}
        of_the_docs("Pyramid", config=config, current_user=current_user, HTTPUnauthorized=HTTPUnauthorized, **given)
        for permission in ("view", "edit"):
            config.add_route(permission, f"/open/{permission}")
            view = lambda request: PyramidResponse(request.authenticated_userid)  # noqa: E731
            config.add_view(view, route_name=permission, permission=permission)
        auth = AuthMiddleware(config.make_wsgi_app(), **in_memory(public_paths=["/open/*"]))
    client, statuses = Client(auth), {}
    for email, role in ((None, ""), ("tanaka@example.com", "staff"), ("boss@example.com", "admin")):
        if email:
            sign_in_as(auth, client, email, role=role)
        answers = [client.get(f"/open/{one}", headers={"Accept": "text/html"}) for one in ("view", "edit")]
        statuses[role] = [answer.status_code for answer in answers]
    assert statuses == {"": [303, 303], "staff": [200, 403], "admin": [200, 200]}
