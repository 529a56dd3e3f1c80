"""A wrong set-up is found at start, with the field, the problem and the hint in the message."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta

import argon2
import pytest

from nipo_auth_mw import AuthConfig, AuthMiddleware, ConfigError, LockoutPolicy, PasswordPolicy, SessionPolicy
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import MemoryMailer, in_memory
from tests.each import each
from tests.kit import SpyHasher, echo, middleware

SECRET = "0123456789abcdef0123456789abcdef"
GOOD = {"secret_key": SECRET, "base_url": "https://reports.example.jp"}

BAD = [
    ("secret_key", ""),
    ("secret_key", "secret"),
    ("secret_key", "changeme"),
    ("secret_key", "x" * 31),
    ("secret_key", "please-change-me-please-change-me-please"),
    ("secret_key", []),
    ("secret_key", [SECRET, "short"]),
    ("secret_key", [SECRET, SECRET]),
    ("secret_key", 42),
    ("secret_key", None),
    ("base_url", ""),
    ("base_url", None),
    ("base_url", "reports.example.jp"),
    ("base_url", "http://reports.example.jp"),
    ("base_url", "http://intranet"),
    ("base_url", "http://localhost.example.jp"),
    ("base_url", "http://128.0.0.1"),
    ("base_url", "ftp://reports.example.jp"),
    ("base_url", "https://"),
    ("base_url", "https://user@reports.example.jp"),
    ("base_url", "https://reports.example.jp/?x=1"),
    ("base_url", "https://reports.example.jp/#x"),
    ("base_url", "https://reports.example.jp:99999"),
    ("base_url", "https://reports.example.jp/../x"),
    ("base_url", "https://reports.example.jp\r\nX: y"),
    ("base_url", "https://日報.example.jp"),
    ("site_name", "two\nlines"),
    ("site_name", "x" * 81),
    ("realm", "with space"),
    ("realm", "x" * 33),
    ("prefix", "auth"),
    ("prefix", "/"),
    ("prefix", "/a//b"),
    ("prefix", "/認証"),
    ("prefix", "/é"),
    ("prefix", ""),
    ("home", "reports"),
    ("home", "//evil.example"),
    ("public_paths", "/static/*"),
    ("public_paths", [None]),
    ("public_paths", ["static/*"]),
    ("public_paths", [""]),
    ("public_paths", ["*"]),
    ("public_paths", ["/a/../b"]),
    ("public_paths", ["/a/./*"]),
    ("public_paths", ["//"]),
    ("public_paths", ["//*"]),
    ("public_paths", ["/a//*"]),
    ("public_paths", ["/a//"]),
    ("public_paths", ["/%61"]),
    ("public_paths", ["/a?b"]),
    ("public_paths", ["/a\\b"]),
    ("public_paths", ["/static*"]),
    ("public_paths", ["/*.css"]),
    ("public_paths", ["/*/static"]),
    ("public_paths", ["/static/*/"]),
    ("public_paths", ["/static/**"]),
    ("public_paths", ["/static/*/*"]),
    ("public_paths", ["/-/auth"]),
    ("public_paths", ["/-/auth/*"]),
    ("public_paths", ["/-/auth/login"]),
    ("public_paths", ["/-/auth/static/*"]),
    ("public_paths", ["/-/*"]),
    ("public_paths", ["/-/auth/"]),
    ("protected_paths", "/a"),
    ("protected_paths", ["/a;b"]),
    ("protected_paths", ["/a*"]),
    ("protected_paths", ["/private/*"]),
    ("protected_paths", ["/"]),
    ("languages", []),
    ("languages", "ja"),
    ("languages", ["ja", "ja"]),
    ("languages", ["../ja"]),
    ("default_language", "fr"),
    ("trusted_proxies", -1),
    ("trusted_proxies", True),
    ("trusted_proxies", "1"),
    ("session", {"idle": 5}),
]


@each("field, value", BAD)
def test_a_bad_value_names_its_field_and_a_hint(field, value):
    with pytest.raises(ConfigError) as refused:
        AuthConfig(**{**GOOD, field: value})
    assert refused.value.field == field
    assert refused.value.hint
    assert str(refused.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("policy", "values"),
    [
        (SessionPolicy, {"idle": timedelta(0)}),
        (SessionPolicy, {"absolute": timedelta(days=401)}),
        (SessionPolicy, {"touch_every": 300}),
        (SessionPolicy, {"passive_paths": "/poll"}),
        (SessionPolicy, {"passive_paths": ["/poll*"]}),
        (LockoutPolicy, {"failures": 0}),
        (LockoutPolicy, {"failures": 2.5}),
        (LockoutPolicy, {"duration": timedelta(milliseconds=1500)}),
        (LockoutPolicy, {"max_duration": timedelta(minutes=1)}),
        (LockoutPolicy, {"client_failures": 3}),
        (LockoutPolicy, {"permanent_after": 1}),
        (LockoutPolicy, {"storage": "memcached://localhost:11211"}),
        (LockoutPolicy, {"storage": "nowhere"}),
        (PasswordPolicy, {"min_length": 7}),
        (PasswordPolicy, {"max_length": 63}),
        (PasswordPolicy, {"refuse_guessable": "no"}),
    ],
)
def test_bad_policies_are_refused(policy, values):
    with pytest.raises(ConfigError) as refused:
        policy(**values)
    assert refused.value.field.endswith(next(iter(values)))
    assert refused.value.hint


@pytest.mark.parametrize(
    ("public", "protected", "field"),
    [
        (["/a", "/b"], ["/b"], "public_paths"),
        (["/a/*"], ["/a/*"], "public_paths"),
        (["/*"], ["/*"], "public_paths"),
        (["/a/*"], ["/b"], "protected_paths"),
        (["/a/*"], ["/ab/*"], "protected_paths"),
        (["/a/b/*"], ["/a/*"], "protected_paths"),
        (["/a"], ["/a/b"], "protected_paths"),
        (["/a"], ["/a/*"], "protected_paths"),
        (["/a/*"], ["/*"], "protected_paths"),
        (["/"], ["/private"], "protected_paths"),
        (["/*"], ["/-/auth/*"], "protected_paths"),
        (["/*"], ["/-/auth/login"], "protected_paths"),
        (["/*", "/-/*"], [], "public_paths"),
    ],
)
def test_rules_that_do_not_do_what_their_author_expects_are_refused(public, protected, field):
    with pytest.raises(ConfigError) as refused:
        AuthConfig(**GOOD, public_paths=public, protected_paths=protected)
    assert refused.value.field == field
    assert refused.value.hint


@pytest.mark.parametrize(
    ("public", "protected"),
    [
        (["/"], []),
        (["/*"], []),
        (["/*"], ["/private/*", "/private/x", "/"]),
        (["/static/*", "/static"], ["/static/inside", "/static/inside/*"]),
        (["/a"], []),
        (["/a/*"], ["/a"]),
        (["/-"], []),
        (["/-/authors/*"], []),
        (["/公開/*"], ["/公開/下書き"]),
    ],
)
def test_rules_that_make_sense_are_taken(public, protected):
    config = AuthConfig(**GOOD, public_paths=public, protected_paths=protected)
    assert (config.public_paths, config.protected_paths) == (tuple(public), tuple(protected))


def test_rules_are_compared_with_the_prefix_at_hand():
    config = AuthConfig(**GOOD, prefix="/login-pages", public_paths=["/-/*"])
    assert config.public_paths == ("/-/*",)
    with pytest.raises(ConfigError, match="/login-pages") as refused:
        AuthConfig(**GOOD, prefix="/login-pages", public_paths=["/login-pages/*"])
    assert refused.value.field == "public_paths"


@pytest.mark.parametrize("host", ["localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_plain_http_is_for_this_machine_only(host):
    config = AuthConfig(secret_key=SECRET, base_url=f"http://{host}:8000")
    assert (config.secure, config.origin) == (False, f"http://{host}:8000")


def test_an_address_is_kept_in_one_spelling():
    config = AuthConfig(secret_key=SECRET, base_url="https://Reports.Example.JP:443/portal/")
    assert (config.base_url, config.origin, config.mount) == (
        "https://reports.example.jp/portal",
        "https://reports.example.jp",
        "/portal",
    )


def test_no_secret_shows():
    config = AuthConfig(**GOOD, lockout=LockoutPolicy(storage="redis://:hidden@127.0.0.1"))
    assert SECRET not in repr(config)
    assert "hidden" not in repr(config)
    for bad in ("hunter2-" * 3, ["hunter2-" * 3]):
        with pytest.raises(ConfigError) as refused:
            AuthConfig(secret_key=bad, base_url="https://a.example")
        assert "hunter2" not in str(refused.value)


def test_settings_come_from_the_environment():
    environ = {
        "PATH": "/bin",
        "NIPO_AUTH_SECRET_KEY": SECRET,
        "NIPO_AUTH_BASE_URL": "https://reports.example.jp",
        "NIPO_AUTH_PUBLIC_PATHS": "/, /static/*, /open",
        "NIPO_AUTH_PROTECTED_PATHS": "/static/inside",
        "NIPO_AUTH_TRUSTED_PROXIES": "1",
        "NIPO_AUTH_SESSION_PASSIVE_PATHS": "/poll/*",
        "NIPO_AUTH_SESSION_IDLE": "86400",
        "NIPO_AUTH_LOCKOUT_FAILURES": "7",
        "NIPO_AUTH_LOCKOUT_PERMANENT_AFTER": "100",
        "NIPO_AUTH_PASSWORDS_REFUSE_GUESSABLE": "off",
        "NIPO_AUTH_STORE": "sqlite:////somewhere/auth.db",
    }
    config = AuthConfig.from_mapping(environ)
    assert (config.secrets, config.trusted_proxies) == ((SECRET,), 1)
    assert (config.public_paths, config.protected_paths) == (("/", "/static/*", "/open"), ("/static/inside",))
    assert config.session.passive_paths == ("/poll/*",)
    assert config.session.idle == timedelta(days=1)
    assert (config.lockout.failures, config.lockout.permanent_after) == (7, 100)
    assert not config.passwords.refuse_guessable


def test_several_keys_come_as_a_list_by_comma():
    config = AuthConfig.from_mapping(
        {"NIPO_AUTH_SECRET_KEY": f"{SECRET}n,{SECRET}o", "NIPO_AUTH_BASE_URL": "https://a.example"}
    )
    assert config.secrets == (SECRET + "n", SECRET + "o")


def test_a_flask_configuration_may_hold_real_values():
    given = {"NIPO_AUTH_SECRET_KEY": [SECRET], "NIPO_AUTH_BASE_URL": "https://a.example", "DEBUG": False}
    given |= {"NIPO_AUTH_LOCKOUT": LockoutPolicy(failures=3), "NIPO_AUTH_SESSION_IDLE": timedelta(days=2)}
    config = AuthConfig.from_mapping(given)
    assert (config.lockout.failures, config.session.idle) == (3, timedelta(days=2))


@pytest.mark.parametrize(
    "odd",
    [
        {"NIPO_AUTH_LOCKOUT_FAILURE": "5"},
        {"NIPO_AUTH_LOCKOUT_FAILURES": "five"},
        {"NIPO_AUTH_SESSION_IDLE": "a while"},
        {"NIPO_AUTH_PASSWORDS_REFUSE_GUESSABLE": "perhaps"},
        {"NIPO_AUTH_BASEURL": "https://a.example"},
    ],
)
def test_a_misspelt_setting_is_an_error_that_names_the_key(odd):
    (key,) = odd
    with pytest.raises(ConfigError, match=key):
        AuthConfig.from_mapping({"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://a.example", **odd})


@pytest.mark.parametrize(
    ("odd", "meant"),
    [
        ("NIPO_AUTH_PUBLIC_PATH", "PUBLIC_PATHS"),
        ("NIPO_AUTH_SITE_NAMES", "SITE_NAME"),
        ("NIPO_AUTH_SESSION_IDEL", "SESSION_IDLE"),
        ("NIPO_AUTH_ZZZ", ""),
    ],
)
def test_a_misspelt_setting_names_the_one_that_was_meant(odd, meant):
    given = {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://a.example", odd: "1"}
    with pytest.raises(ConfigError) as told:
        AuthConfig.from_mapping(given)
    assert str(told.value).endswith(f"Did you mean NIPO_AUTH_{meant}?" if meant else "lists the names.")


@pytest.mark.parametrize("service", ["", "DEMO_", "SMTP_"])
def test_what_kubernetes_says_of_a_service_called_nipo_auth_is_no_setting(service):
    given = {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://a.example"}
    links = {
        "SERVICE_HOST": "192.0.2.1",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "PORT": "tcp://192.0.2.1:80",
        "PORT_80_TCP": "tcp://192.0.2.1:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": "192.0.2.1",
        "PORT_53_UDP": "udp://192.0.2.1:53",
    }
    started = {**given, **{f"NIPO_AUTH_{service}{name}": value for name, value in links.items()}}
    assert AuthConfig.from_mapping(started) == AuthConfig.from_mapping(given)
    with pytest.raises(ConfigError, match="is not a setting"):
        AuthConfig.from_mapping({**given, f"NIPO_AUTH_{service}PORT": "8000"})


def test_a_collaborator_is_no_setting_and_the_hint_says_where_it_goes():
    given = {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://a.example"}
    arguments = inspect.signature(AuthMiddleware).parameters.keys() - {"app", "config", "store"}
    for name in arguments:
        with pytest.raises(ConfigError) as told:
            AuthConfig.from_mapping({**given, f"NIPO_AUTH_{name.upper()}": "x"})
        assert told.value.hint.startswith(f"{name}= is an argument of AuthMiddleware"), name


def test_a_mapping_in_the_environment_is_explained():
    given = {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://a.example"}
    with pytest.raises(ConfigError, match="X-Forwarded-Email=email,X-Forwarded-User=id") as told:
        AuthConfig.from_mapping({**given, "NIPO_AUTH_IDENTITY_HEADERS": '{"X-User": "id"}'})
    written = told.value.hint.partition("environment as ")[2].rstrip(".")
    read = AuthConfig.from_mapping({**given, "NIPO_AUTH_IDENTITY_HEADERS": written})
    assert read.identity_headers == {"X-Forwarded-Email": "email", "X-Forwarded-User": "id"}


@pytest.mark.parametrize("missing", ["NIPO_AUTH_SECRET_KEY", "NIPO_AUTH_BASE_URL"])
def test_what_is_required_is_named_when_missing(missing):
    given = {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://a.example"}
    del given[missing]
    with pytest.raises(ConfigError, match=missing):
        AuthConfig.from_mapping(given)


def test_missing_collaborators_and_methods_are_named():
    config = AuthConfig(**GOOD)
    with pytest.raises(ConfigError, match="users: is missing"):
        AuthMiddleware(echo, config)

    class Half:
        def get(self, user_id):
            return None

    with pytest.raises(ConfigError, match=r"users: Half lacks .*find_by_email.*set_password_hash"):
        AuthMiddleware(echo, config, store=MemoryStore(), users=Half())
    with pytest.raises(ConfigError, match="app"):
        AuthMiddleware("app", config, store=MemoryStore())
    with pytest.raises(ConfigError, match="config"):
        AuthMiddleware(echo, {"secret_key": SECRET}, store=MemoryStore())
    with pytest.raises(ConfigError, match=r"mailer: object lacks send\. Give mailer=; nipo"):
        AuthMiddleware(echo, config, store=MemoryStore(), mailer=object())
    with pytest.raises(ConfigError, match=r"mailer: MemoryMailer is a class.*MemoryMailer\(\.\.\.\)"):
        AuthMiddleware(echo, config, store=MemoryStore(), mailer=MemoryMailer)
    with pytest.raises(ConfigError, match=r"store: is a string.*SQLStore"):
        AuthMiddleware(echo, config, store="sqlite:////srv/auth.db")
    with pytest.raises(ConfigError, match="listeners"):
        AuthMiddleware(echo, config, store=MemoryStore(), listeners=["not a function"])


def test_cheap_hashers_are_refused_but_for_the_test_kits():
    with pytest.raises(ConfigError, match="hasher"):
        middleware(hasher=argon2.PasswordHasher(1, 8, 1))
    middleware(hasher=SpyHasher(in_memory()["hasher"]))


def test_memory_counters_go_with_a_memory_store_only(tmp_path):
    policy = LockoutPolicy(storage="memory://")
    middleware(lockout=policy)
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    with pytest.raises(ConfigError, match="memory"):
        middleware(lockout=policy, store=store)
    store.close()


def test_a_store_without_its_tables_names_the_command(tmp_path):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    with pytest.raises(ConfigError, match=r"nipo-auth --store .* init, in .* With --tables-only it makes no admin"):
        middleware(store=store)
    store.close()


def test_the_middlewares_repr_is_plain():
    assert SECRET not in repr(middleware(secret_key=SECRET))


def test_an_address_with_a_password_in_it_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        AuthConfig(secret_key=SECRET, base_url="https://reports:hunter22@reports.example.jp:99999")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"base_url": "http://0.0.0.0:8000"}, "where a server listens"),
        ({"base_url": "http://192.168.1.5:8000"}, "dev-cert"),
        ({"public_paths": ["/$"]}, "'/' is exactly that path"),
        ({"public_paths": ['["/static"]']}, "Commas separate"),
    ],
)
def test_a_message_names_the_way_out(given, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        AuthConfig(**{"secret_key": "k" * 40 + "q", "base_url": "http://localhost", **given})


def test_a_setting_in_small_letters_is_not_ignored():
    given = {"NIPO_AUTH_SECRET_KEY": "k" * 40 + "q", "NIPO_AUTH_BASE_URL": "http://localhost"}
    with pytest.raises(ConfigError, match="NIPO_AUTH_PUBLIC_PATHS"):
        AuthConfig.from_mapping({**given, "nipo_auth_public_paths": "/"})


def test_a_listener_alone_is_not_a_list_of_them():
    with pytest.raises(ConfigError, match=r"listeners=\["):
        middleware(listeners=print)


@pytest.mark.parametrize("base_url", ["https://x.example/-/auth", "https://x.example/reports/-/auth/login"])
def test_a_base_url_that_names_a_page_is_refused(base_url):
    with pytest.raises(ConfigError, match="names a page below /-/auth"):
        AuthConfig(secret_key="k" * 40 + "q", base_url=base_url)
    assert AuthConfig(secret_key="k" * 40 + "q", base_url=base_url, prefix="/-/signin").mount
