"""Plain, frozen, validated settings. Every mistake is found here, at start, with the mend in the message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from nipo_auth_mw import rules
from nipo_auth_mw.errors import ConfigError

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long a session lasts (ASVS 5 7.3.1, 7.3.2; NIST SP 800-63B-4 5.2).

    `idle` is the longest pause of a session that is kept, `browser_idle` of one that ends with the browser, `absolute`
    the longest life of any; whichever is reached first ends it. `touch_every` bounds how often "last seen" is written,
    `passive` names path prefixes, such as polling, that do not prolong a session. What is delicate asks for the
    password again when it was last given longer than `reauth_within` ago (ASVS 5 7.5.1, 7.5.3).
    """

    idle: timedelta = 90 * _DAY
    absolute: timedelta = 400 * _DAY
    browser_idle: timedelta = timedelta(hours=12)
    touch_every: timedelta = timedelta(minutes=5)
    reauth_within: timedelta = timedelta(minutes=15)
    passive: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("idle", "absolute", "browser_idle"):
            rules.need_duration(f"session.{name}", getattr(self, name), timedelta(seconds=1), 400 * _DAY)
        rules.need_duration("session.touch_every", self.touch_every, timedelta(0), _DAY)
        rules.need_duration("session.reauth_within", self.reauth_within, timedelta(minutes=1), _DAY)
        object.__setattr__(self, "passive", rules.paths("session.passive", self.passive))


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """When sign-in to an address is locked, and for how long (ASVS 5 6.3.1; NIST SP 800-63B-4 3.2.2).

    The `failures`-th wrong password inside the sliding `window` starts a lock of `duration`. `longest` above
    `duration` doubles locks in a row up to it. `address_failures` bounds wrong passwords a client address (IPv6: a /64)
    may send in `window`, over all accounts. After `give_up_after` wrong ones in a row (None: never) no password is
    accepted until a reset by mail or an administrator. `counters` is "store" or a `limits` storage URI.
    """

    failures: int = 5
    window: timedelta = timedelta(minutes=15)
    duration: timedelta = timedelta(minutes=5)
    longest: timedelta | None = None
    address_failures: int = 50
    give_up_after: int | None = None
    counters: str = field(default="store", repr=False)

    def __post_init__(self) -> None:
        rules.need_number("lockout.failures", self.failures, 1, 100)
        rules.need_duration("lockout.window", self.window, timedelta(seconds=1), _DAY)
        rules.need_duration("lockout.duration", self.duration, timedelta(seconds=1), _DAY)
        if self.longest is None:
            object.__setattr__(self, "longest", self.duration)
        rules.need_duration("lockout.longest", self.longest, self.duration, 7 * _DAY)
        rules.need_number("lockout.address_failures", self.address_failures, self.failures, 1_000_000)
        if self.give_up_after is not None:
            rules.need_number("lockout.give_up_after", self.give_up_after, self.failures, 10_000)
        for name in ("window", "duration", "longest"):
            whole = getattr(self, name).total_seconds().is_integer()
            rules.need(whole, f"lockout.{name}", "is no whole number of seconds", "Counters expire on whole seconds.")
        rules.need_counters(self.counters)


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """What a password must be (NIST SP 800-63B-4 3.1.1.2; ASVS 5 6.2).

    Lengths count characters and are checked before anything else is done with the text. `refuse_guessable` asks
    zxcvbn. NIST's figure for passwords without a second factor is `min_length=15`.
    """

    min_length: int = 8
    max_length: int = 128
    refuse_guessable: bool = True

    def __post_init__(self) -> None:
        rules.need_number("passwords.min_length", self.min_length, 8, 64)
        rules.need_number("passwords.max_length", self.max_length, 64, 1024)
        rules.need_bool("passwords.refuse_guessable", self.refuse_guessable)


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """All settings of one `AuthMiddleware`; the README's table tells what each means.

    Raises `ConfigError` at construction for anything that cannot work or would not be safe. `secret_key` never shows
    in the `repr`.
    """

    secret_key: str | Sequence[str] = field(repr=False)
    base_url: str
    site_name: str = ""
    realm: str = ""
    prefix: str = "/auth"
    home: str = "/"
    public: Sequence[str] = ()
    protect: Sequence[str] = ()
    languages: Sequence[str] = ("ja", "en")
    default_language: str = "en"
    trusted_proxies: int = 0
    timezone: str = "UTC"
    roles: Sequence[str] = ("admin", "staff")
    history_kept: timedelta = timedelta(days=730)
    session: SessionPolicy = SessionPolicy()
    lockout: LockoutPolicy = LockoutPolicy()
    passwords: PasswordPolicy = PasswordPolicy()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "secret_key", rules.secret_keys(self.secret_key))
        put(self, "base_url", rules.base_url(self.base_url))
        rules.need(
            rules.is_line(self.site_name, 80), "site_name", "is not one short line of text", "At most 80 characters."
        )
        rules.need(
            isinstance(self.realm, str) and rules.TOKEN.match(self.realm) is not None,
            "realm",
            f"{self.realm!r} cannot be part of a cookie's name",
            "Use at most 32 of A-Z a-z 0-9 _ -.",
        )
        put(self, "prefix", rules.paths("prefix", [self.prefix])[0])
        rules.need(self.prefix != "/", "prefix", "would cover the whole app", 'Use a path of its own, such as "/auth".')
        rules.need(
            rules.is_path(self.home), "home", f"{self.home!r} is no path", 'Start it with one "/", such as "/reports".'
        )
        put(self, "public", rules.paths("public", self.public))
        put(self, "protect", rules.paths("protect", self.protect))
        both = sorted(set(self.public) & set(self.protect))
        rules.need(not both, "public", f"{both} stand in `protect` too", "Keep each path in one of the two.")
        put(self, "languages", rules.language_codes(self.languages))
        rules.need(
            self.default_language in self.languages,
            "default_language",
            f"{self.default_language!r} is not among languages {tuple(self.languages)}",
            "Name one of them.",
        )
        rules.need_number("trusted_proxies", self.trusted_proxies, 0, 10)
        rules.zone(self.timezone)
        put(self, "roles", rules.roles(self.roles))
        rules.need_duration("history_kept", self.history_kept, timedelta(days=30), timedelta(days=36500))
        for name, kind in (("session", SessionPolicy), ("lockout", LockoutPolicy), ("passwords", PasswordPolicy)):
            rules.need(
                isinstance(getattr(self, name), kind), name, "is of another type", f"Give a {kind.__name__}(...)."
            )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret keys, newest first."""
        return tuple(self.secret_key)

    @property
    def zone(self) -> ZoneInfo:
        """Where the people are whose clocks the pages show."""
        return rules.zone(self.timezone)

    @property
    def secure(self) -> bool:
        """Whether people reach the app by https; decides the cookies' names and flags, whatever a request says."""
        return self.base_url.startswith("https://")

    @property
    def origin(self) -> str:
        """`scheme://host[:port]`, as a browser's Origin header has it."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def mount(self) -> str:
        """The path of `base_url`, "" when the app sits at the root of its host."""
        return urlsplit(self.base_url).path

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], prefix: str = "NIPO_AUTH_") -> AuthConfig:
        """Read a Flask config or `os.environ`.

        `NIPO_AUTH_BASE_URL` sets `base_url`, `NIPO_AUTH_LOCKOUT_FAILURES` `lockout.failures`; lists are split at
        commas, durations are seconds, truth is 1/0, true/false, yes/no or on/off. `NIPO_AUTH_STORE` belongs to the
        command line and is passed over. An unknown key under the prefix is a `ConfigError`, since a misspelt limit
        that is silently ignored protects nobody.
        """
        policies: dict[str, type[Any]] = {
            "session": SessionPolicy,
            "lockout": LockoutPolicy,
            "passwords": PasswordPolicy,
        }
        plain = {f.name: f for f in fields(cls) if f.name not in policies}
        top: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {name: {} for name in policies}
        for key in sorted(k for k in mapping if k.startswith(prefix)):
            name, value = key.removeprefix(prefix).lower(), mapping[key]
            group, _, rest = name.partition("_")
            if name == "store":
                continue
            if name in plain:
                top[name] = rules.read(key, str(plain[name].type), value)
            elif name in policies and isinstance(value, policies[name]):
                top[name] = value
            elif group in policies and rest in (kinds := {f.name: str(f.type) for f in fields(policies[group])}):
                nested[group][rest] = rules.read(key, kinds[rest], value)
            else:
                raise ConfigError(key, "is no setting", "See the table of settings in the README for the names.")
        for group, values in nested.items():
            if values:
                top[group] = policies[group](**values)
        for name in ("secret_key", "base_url"):
            rules.need(name in top, prefix + name.upper(), "is missing", "It is required.")
        return cls(**top)
