"""Frozen, validated settings. Every mistake is found at construction, with a hint in the message."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from nipo_auth_mw import _validation
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.models import User

_DAY = timedelta(days=1)
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
# What Kubernetes puts into the environment of every container for a service whose name begins with "nipo-auth".
_SERVICE_LINK = re.compile(
    r"(?:[a-z0-9_]+_)?(?:service_host|service_port(?:_[a-z0-9_]+)?|port_[0-9]+_(?:tcp|udp|sctp)(?:_[a-z]+)?)=.*"
    r"|(?:[a-z0-9_]+_)?port=(?:tcp|udp|sctp)://.*",
    re.DOTALL,
)
_OF_OTHERS = {"store", "app", "smtp_url", "sender", "sender_name", "development"}
"""What `from_environ` and the command line read beside the settings."""
_ARGUMENTS = {
    "users",
    "sessions",
    "audit",
    "mailer",
    "hasher",
    "legacy_hashers",
    "templates",
    "listeners",
    "on_sign_out",
}
"""What `AuthMiddleware` takes beside the settings."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long a session lasts (ASVS 5 7.3.1, 7.3.2; NIST SP 800-63B-4 5.2).

    `idle` is the longest pause of a persistent session, and `browser_idle` that of a session that ends with the
    browser. `absolute` is the longest life of any session. The limit that is reached first ends the session. "Last
    seen" is written at most once in `touch_every`. Requests to `passive_paths`, which are path rules such as "/poll/*",
    do not prolong a session. Sensitive actions ask for the password again if it was last confirmed longer than
    `reauth_within` ago (ASVS 5 7.5.1, 7.5.3). Raises `ConfigError` at construction.
    """

    idle: timedelta = 90 * _DAY
    absolute: timedelta = 400 * _DAY
    browser_idle: timedelta = timedelta(hours=12)
    touch_every: timedelta = timedelta(minutes=5)
    reauth_within: timedelta = timedelta(minutes=15)
    passive_paths: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Validate each field. Raises `ConfigError`."""
        for name in ("idle", "absolute", "browser_idle"):
            _validation.require_duration(f"session.{name}", getattr(self, name), timedelta(seconds=1), 400 * _DAY)
        _validation.require_duration("session.touch_every", self.touch_every, timedelta(0), _DAY)
        _validation.require_duration("session.reauth_within", self.reauth_within, timedelta(minutes=1), _DAY)
        object.__setattr__(self, "passive_paths", _validation.path_rules("session.passive_paths", self.passive_paths))


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """When sign-in to an address is locked, and for how long (ASVS 5 6.3.1; NIST SP 800-63B-4 3.2.2).

    The `failures`-th wrong password within the sliding `window` starts a lock of `duration`. If `max_duration` is
    longer than `duration`, each lock that follows another lasts twice as long, up to `max_duration`. `client_failures`
    limits the wrong passwords that one client address (IPv6: a /64) may send within `window`, over all accounts. After
    `permanent_after` wrong passwords in a row (None: never) the account stays locked until a reset by mail or an
    administrator unlocks it. `storage` is "store" or a `limits` storage URI. Raises `ConfigError` at construction.
    """

    failures: int = 5
    window: timedelta = timedelta(minutes=15)
    duration: timedelta = timedelta(minutes=5)
    max_duration: timedelta | None = None
    client_failures: int = 50
    permanent_after: int | None = None
    storage: str = field(default="store", repr=False)

    def __post_init__(self) -> None:
        """Validate each field. Raises `ConfigError`."""
        _validation.require_number("lockout.failures", self.failures, 1, 100)
        _validation.require_duration("lockout.window", self.window, timedelta(seconds=1), _DAY)
        _validation.require_duration("lockout.duration", self.duration, timedelta(seconds=1), _DAY)
        if self.max_duration is None:
            object.__setattr__(self, "max_duration", self.duration)
        _validation.require_duration("lockout.max_duration", self.max_duration, self.duration, 7 * _DAY)
        _validation.require_number("lockout.client_failures", self.client_failures, self.failures, 1_000_000)
        if self.permanent_after is not None:
            _validation.require_number("lockout.permanent_after", self.permanent_after, self.failures, 10_000)
        for name in ("window", "duration", "max_duration"):
            whole = getattr(self, name).total_seconds().is_integer()
            _validation.require(
                whole, f"lockout.{name}", "is not a whole number of seconds", "Counters expire on whole seconds."
            )
        _validation.require_storage(self.storage)


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Which passwords a user may set (NIST SP 800-63B-4 3.1.1.2; ASVS 5 6.2).

    Lengths count characters and are checked before anything else is done with the text. `refuse_guessable` refuses
    passwords that zxcvbn estimates to be guessable. NIST asks for `min_length=15` where a password is the only factor.
    Raises `ConfigError` at construction.
    """

    min_length: int = 8
    max_length: int = 128
    refuse_guessable: bool = True

    def __post_init__(self) -> None:
        """Validate each field. Raises `ConfigError`."""
        _validation.require_number("passwords.min_length", self.min_length, 8, 64)
        _validation.require_number("passwords.max_length", self.max_length, 64, 1024)
        _validation.require_bool("passwords.refuse_guessable", self.refuse_guessable)


@dataclass(frozen=True, slots=True)
class TwoStepPolicy:
    """Who has to sign in with two steps, and whether with passkeys too (ASVS 5 6.3.3).

    An account with one of the roles in `required_for` has to set two steps up before it sees anything else. The role is
    judged at each request. `passkeys=False` hides passkeys. Two steps need the extra `nipo_auth_mw[two-step]`. Raises
    `ConfigError` at construction.
    """

    required_for: Sequence[str] = ()
    passkeys: bool = True

    def __post_init__(self) -> None:
        """Validate each field. Raises `ConfigError`."""
        listed = _validation.texts(self.required_for)
        if listed is None:
            raise ConfigError("two_step.required_for", "is not a list of roles", 'Use a list such as ("admin",).')
        object.__setattr__(self, "required_for", listed)
        _validation.require_bool("two_step.passkeys", self.passkeys)


_POLICIES: dict[str, type[Any]] = {
    "session": SessionPolicy,
    "lockout": LockoutPolicy,
    "passwords": PasswordPolicy,
    "two_step": TwoStepPolicy,
}


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """All settings of one `AuthMiddleware`; the table of settings in README.md explains each.

    Raises `ConfigError` at construction for a value that cannot work or would not be safe. The `repr` leaves out
    `secret_key`.
    """

    secret_key: str | Sequence[str] = field(repr=False)
    base_url: str
    site_name: str = ""
    organization: str = ""
    logo: str = ""
    support: str = ""
    login_domain: str = ""
    realm: str = ""
    prefix: str = "/-/auth"
    home: str = "/"
    public_paths: Sequence[str] = ()
    protected_paths: Sequence[str] = ()
    languages: Sequence[str] = ("ja", "en")
    default_language: str = "en"
    trusted_proxies: int = 0
    timezone: str = "UTC"
    roles: Sequence[str] = ("admin", "staff")
    remote_user: str | Callable[[User], str] = "id"
    identity_headers: Mapping[str, str | Callable[[User], str]] = field(default_factory=dict, hash=False)
    sign_out_cookies: Sequence[str] = ()
    audit_retention: timedelta = timedelta(days=730)
    invitation_lasts: timedelta = timedelta(days=7)
    session: SessionPolicy = SessionPolicy()
    lockout: LockoutPolicy = LockoutPolicy()
    passwords: PasswordPolicy = PasswordPolicy()
    two_step: TwoStepPolicy = TwoStepPolicy()

    def __post_init__(self) -> None:
        """Validate each field and bring it into one form. Raises `ConfigError`."""
        put = object.__setattr__
        put(self, "secret_key", _validation.secret_keys(self.secret_key))
        put(self, "base_url", _validation.base_url(self.base_url))
        for name in ("site_name", "organization", "support"):
            fits = _validation.is_line(getattr(self, name), 80)
            _validation.require(fits, name, "is not one short line of text", "At most 80 characters.")
        _validation.require(
            self.logo == "" or _validation.is_path(self.logo),
            "logo",
            f"{self.logo!r} is not a path",
            'Give the path of an image that visitors may see, such as "/static/logo.svg".',
        )
        _validation.require(
            isinstance(self.realm, str) and _validation.TOKEN.match(self.realm) is not None,
            "realm",
            f"{self.realm!r} cannot be part of a cookie's name",
            "Use at most 32 of A-Z a-z 0-9 _ -.",
        )
        put(self, "login_domain", _login_domain(self.login_domain))
        put(self, "prefix", _validation.prefix(self.prefix))
        _validation.require(
            _validation.is_path(self.home),
            "home",
            f"{self.home!r} is not a path",
            'Start it with one "/", such as "/reports".',
        )
        _validation.require(
            f"{self.prefix}/" not in f"{self.mount}/",
            "base_url",
            f"names a page below {self.prefix}, not the app",
            f"Leave out {self.prefix} and what follows.",
        )
        put(self, "public_paths", _validation.path_rules("public_paths", self.public_paths))
        put(self, "protected_paths", _validation.path_rules("protected_paths", self.protected_paths))
        _validation.check_path_rules(tuple(self.public_paths), tuple(self.protected_paths), self.prefix)
        put(self, "languages", _validation.language_codes(self.languages))
        _validation.require(
            self.default_language in self.languages,
            "default_language",
            f"{self.default_language!r} is not among languages {tuple(self.languages)}",
            "Name one of them.",
        )
        _validation.require_number("trusted_proxies", self.trusted_proxies, 0, 10)
        _validation.zone(self.timezone)
        put(self, "roles", _validation.roles(self.roles))
        _validation.require_identity("remote_user", self.remote_user, ("id", "email"))
        put(self, "identity_headers", _validation.identity_headers(self.identity_headers))
        put(self, "sign_out_cookies", _validation.cookie_names("sign_out_cookies", self.sign_out_cookies))
        _validation.require_duration("audit_retention", self.audit_retention, timedelta(days=30), timedelta(days=36500))
        _validation.require_duration("invitation_lasts", self.invitation_lasts, timedelta(hours=1), 30 * _DAY)
        for name, kind in _POLICIES.items():
            _validation.require(
                isinstance(getattr(self, name), kind),
                name,
                f"is not a {kind.__name__}",
                f"Give a {kind.__name__}(...).",
            )
        for role in self.two_step.required_for:
            hint = f"Use roles of the setting `roles`: {', '.join(self.roles)}."
            _validation.require(role in self.roles, "two_step.required_for", f"{role!r} is not a role", hint)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret keys, newest first: the first one signs, all of them verify."""
        return tuple(self.secret_key)

    def login_id(self, email: str) -> str:
        """What pages show of an address, and what its user may type to sign in: the id if it is one of `login_domain`,
        else the address."""
        return email.removesuffix(f"@{self.login_domain}") if self.login_domain else email

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of `timezone`."""
        return _validation.zone(self.timezone)

    @property
    def secure(self) -> bool:
        """Whether users reach the host app by https.

        It decides the names and flags of the cookies, so that a forged request header cannot weaken them.
        """
        return self.base_url.startswith("https://")

    @property
    def origin(self) -> str:
        """`scheme://host[:port]` of `base_url`, as a browser writes it in the Origin header."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def mount(self) -> str:
        """The path of `base_url`; "" if the app is mounted at the root of its host."""
        return urlsplit(self.base_url).path

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], prefix: str = "NIPO_AUTH_") -> AuthConfig:
        """Read the settings from a Flask config or `os.environ`.

        `NIPO_AUTH_BASE_URL` sets `base_url`, and `NIPO_AUTH_LOCKOUT_FAILURES` sets `lockout.failures`. Text is
        converted: lists are split at commas, `identity_headers` is written `X-Email=email,X-Role=role`, durations are
        seconds, booleans are 1/0, true/false, yes/no or on/off. The names that `from_environ` and the command line read
        are skipped here, such as `NIPO_AUTH_STORE`, and so are those that Kubernetes sets for a service. Raises
        `ConfigError` for an unknown key under the prefix, since a misspelt limit that is silently ignored protects no
        account.
        """
        plain = {f.name: f for f in fields(cls) if f.name not in _POLICIES}
        top: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {name: {} for name in _POLICIES}
        for key in mapping:
            small = key.startswith(prefix.lower()) and prefix != prefix.lower()
            _validation.require(not small, key, "is in small letters, so it would be ignored", f"Write {key.upper()}.")
        for key in sorted(k for k in mapping if k.startswith(prefix)):
            name, value = key.removeprefix(prefix).lower(), mapping[key]
            group = next((policy for policy in _POLICIES if name.startswith(f"{policy}_")), "")
            rest = name.removeprefix(f"{group}_")
            if name in _OF_OTHERS or _SERVICE_LINK.fullmatch(f"{name}={value}"):
                continue
            if name in plain:
                top[name] = _validation.read(key, str(plain[name].type), value)
            elif name in _POLICIES and isinstance(value, _POLICIES[name]):
                top[name] = value
            elif group and rest in (kinds := {f.name: str(f.type) for f in fields(_POLICIES[group])}):
                nested[group][rest] = _validation.read(key, kinds[rest], value)
            else:
                known = [*plain, *(f"{policy}_{f.name}" for policy in _POLICIES for f in fields(_POLICIES[policy]))]
                meant = "".join(f" Did you mean {prefix}{near.upper()}?" for near in get_close_matches(name, known, 1))
                hint = f"The table of settings in README.md lists the names.{meant}"
                if name in _ARGUMENTS:
                    hint = f"{name}= is an argument of AuthMiddleware, Auth and protect, since it may be no text."
                raise ConfigError(key, "is not a setting", hint)
        for group, values in nested.items():
            if values:
                top[group] = _POLICIES[group](**values)
        for name in ("secret_key", "base_url"):
            _validation.require(name in top, prefix + name.upper(), "is missing", "Set it; it is required.")
        return cls(**top)


def _login_domain(value: object) -> str:
    """The domain of ids in lower case; "" for none. Raises `ConfigError`."""
    domain = value.lower() if isinstance(value, str) else "?"
    _validation.require(
        not domain or (len(domain) <= 189 and _DOMAIN.match(domain) is not None),
        "login_domain",
        f"{value!r} is not a domain",
        'Write one that receives no mail, without "@", such as "staff.invalid" or "id.example.co.jp".',
    )
    return domain
