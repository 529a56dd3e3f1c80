"""What a host app asks for: names of its own for the user, one of several roles, and whether a session still lives."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import time_machine
from werkzeug.exceptions import Forbidden, ServiceUnavailable, Unauthorized

from nipo_auth_mw import AuthConfig, ConfigError, StoreUnavailable, require_role, still_signed_in
from nipo_auth_mw.testing import MemoryStore
from tests.kit import middleware, person
from tests.security.tools import Inner, ask, breakable, signed_in

EVERYTHING = {
    "X-Forwarded-Email": "email",
    "X-User": "id",
    "Remote_Name": "name",
    "x-role": "role",
    "X-Local": lambda user: user.email.partition("@")[0],
}
KEYS = ["HTTP_X_FORWARDED_EMAIL", "HTTP_X_USER", "HTTP_REMOTE_NAME", "HTTP_X_ROLE", "HTTP_X_LOCAL"]


def given(cookie="", *, name="田中", path="/open", **settings):
    """The environ that the app gets, for a sender who forged every key of an identity."""
    inner = Inner()
    auth = middleware(inner, public_paths=["/open/*"], **settings)
    person(auth, name=name)
    forged = dict.fromkeys(["REMOTE_USER", *KEYS], "admin")
    ask(auth, path=path, cookie=signed_in(auth) if cookie else "", **forged)
    return inner.seen[0]


@pytest.mark.parametrize(
    ("remote_user", "seen"),
    [("id", "1"), ("email", "tanaka@example.com"), (lambda user: user.email.split("@")[0], "tanaka")],
)
def test_remote_user_is_what_the_app_takes_for_a_name(remote_user, seen):
    assert given("mine", remote_user=remote_user)["REMOTE_USER"] == seen
    assert "REMOTE_USER" not in given(remote_user=remote_user)


def test_identity_headers_are_the_users_or_absent():
    environ = given("mine", identity_headers=EVERYTHING)
    name = "田中".encode().decode("latin-1")
    assert [environ[key] for key in KEYS] == ["tanaka@example.com", "1", name, "staff", "tanaka"]
    assert all(type(environ[key]) is str for key in KEYS)
    environ = given(identity_headers=EVERYTHING)
    assert not any(key in environ for key in KEYS), "a visitor's forged headers are removed"
    environ = given("mine", identity_headers={"X-Name": "name"}, name="")
    assert "HTTP_X_NAME" not in environ
    assert environ["HTTP_X_USER"] == "admin", "a header that no setting names is the app's"


@pytest.mark.parametrize("text", ["a\r\nb", "a\x00b", "a\x85b"])
def test_no_control_character_reaches_a_header(text):
    environ = given("mine", identity_headers={"X-Local": lambda user: text}, remote_user=lambda user: text)
    assert set(environ["REMOTE_USER"]) == set(environ["HTTP_X_LOCAL"]) == {"a", " ", "b"}


def fails(user):
    raise KeyError("no such row")


@pytest.mark.parametrize("broken", [lambda user: 7, lambda user: b"1", lambda user: ("1",), fails])
@pytest.mark.parametrize("setting", ["remote_user", "identity_headers"])
def test_a_function_that_fails_or_gives_no_text_is_a_503_and_never_a_visitor(setting, broken):
    inner = Inner()
    value = broken if setting == "remote_user" else {"X-Local": broken}
    auth = middleware(inner, public_paths=["/open/*"], **{setting: value})
    person(auth)
    for path in ("/open", "/page"):
        assert ask(auth, path=path, cookie=signed_in(auth)).status == 503
    assert inner.seen == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("remote_user", "phone"),
        ("remote_user", None),
        ("remote_user", ""),
        ("identity_headers", [("X-User", "id")]),
        ("identity_headers", {"X-User": "phone"}),
        ("identity_headers", {"X-User": None}),
        ("identity_headers", {"X User": "id"}),
        ("identity_headers", {"X-User\n": "id"}),
        ("identity_headers", {"": "id"}),
        ("identity_headers", {7: "id"}),
        ("identity_headers", {"X-User": "id", "x_user": "email"}),
        *(
            ("identity_headers", {name: "id"})
            for name in ("Cookie", "HOST", "Authorization", "Sec-Fetch-Mode", "X_Forwarded_For", "Accept", "HX-Request")
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused(setting, value):
    with pytest.raises(ConfigError) as refused:
        AuthConfig(secret_key="k" * 40 + "q", base_url="http://localhost", **{setting: value})
    assert refused.value.field == setting


def test_both_are_read_from_an_environment():
    read = {"NIPO_AUTH_SECRET_KEY": "k" * 40 + "q", "NIPO_AUTH_BASE_URL": "http://localhost"}
    read |= {"NIPO_AUTH_REMOTE_USER": "email", "NIPO_AUTH_IDENTITY_HEADERS": "X-Email=email, X-Role = role,"}
    config = AuthConfig.from_mapping(read)
    assert (config.remote_user, config.identity_headers) == ("email", {"X-Email": "email", "X-Role": "role"})
    assert hash(config)
    with pytest.raises(ConfigError):
        AuthConfig.from_mapping({**read, "NIPO_AUTH_IDENTITY_HEADERS": "X-Email"})


# Roles.


def asking(check, **settings):
    """Ask with a session what `check` gives or raises inside the app."""
    told = []

    def app(environ, start_response):
        try:
            told.append(check(environ))
        except Exception as problem:
            told.append(problem)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    auth = middleware(app, public_paths=["/open/*"], roles=("admin", "staff", "manager"), **settings)
    person(auth)
    for cookie in ("", signed_in(auth)):
        ask(auth, path="/open", cookie=cookie)
    return told


def test_any_of_several_roles_will_do():
    assert asking(lambda environ: require_role(environ, "manager", "staff"))[1].role == "staff"
    visitor, member = asking(lambda environ: require_role(environ, "admin", "manager"))
    assert type(visitor) is Unauthorized
    assert isinstance(member, Forbidden)


def test_a_role_that_is_not_configured_is_a_mistake_of_the_host_apps():
    for roles in (["stuff"], ["admin", "stuff"], ["staff", ""]):
        for told in asking(lambda environ, roles=roles: require_role(environ, *roles)):
            assert isinstance(told, ValueError)
    with pytest.raises(Unauthorized):
        require_role({}, "stuff")


def test_an_error_inside_a_check_is_a_503():
    class Roles(dict):
        def get(self, *args):
            raise KeyError("roles")

    with pytest.raises(ServiceUnavailable):
        require_role(Roles(), "admin")


# Connections that stay open.


def opened(auth, cookie):
    """The environ of a connection that stays open."""
    kept = []
    inner, auth._app = auth._app, lambda environ, start: kept.append(environ) or inner(environ, start)
    ask(auth, path="/open", cookie=cookie)
    auth._app = inner
    return kept[0]


ENDINGS = {
    "sign-out": lambda auth, cookie: ask(auth, "POST", "/-/auth/logout", cookie=cookie),
    "disabled": lambda auth, cookie: auth.accounts.set_active("1", False),
    "a password set": lambda auth, cookie: auth.accounts.set_password("1", "kiiroi-hana-to-midori"),
    "deleted": lambda auth, cookie: auth.accounts.delete("1"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_open_connection_can_ask_whether_its_session_still_lives(ending):
    auth = middleware(public_paths=["/open/*"])
    person(auth)
    cookie = signed_in(auth)
    environ = opened(auth, cookie)
    told = []
    asker = threading.Thread(target=lambda: told.append(still_signed_in(environ)))
    asker.start()
    asker.join()
    assert told == [still_signed_in(environ)] == [True]
    ENDINGS[ending](auth, cookie)
    assert not still_signed_in(environ)


def test_to_ask_prolongs_nothing_and_a_visitor_is_not_signed_in():
    auth = middleware(public_paths=["/open/*"])
    person(auth)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        environ = opened(auth, signed_in(auth))
        clock.shift(timedelta(days=89))
        assert still_signed_in(environ)
        clock.shift(timedelta(days=1))
        assert not still_signed_in(environ)
    assert not still_signed_in(opened(auth, ""))
    assert not still_signed_in({})


def test_an_outage_is_no_answer():
    store = MemoryStore()
    auth = middleware(store=store, public_paths=["/open/*"])
    person(auth)
    environ = opened(auth, signed_in(auth))
    failing = breakable(store, StoreUnavailable)
    failing.broken = {"*"}
    with pytest.raises(StoreUnavailable):
        still_signed_in(environ)
