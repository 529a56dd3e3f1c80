"""Checks of the settings: one function for each kind of value.

A function that refuses a value raises `ConfigError`, which names the field and the problem and gives a hint. One whose
name begins with `is_` answers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nipo_auth_mw.errors import ConfigError

_COUNTER_SCHEMES = {
    *("redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster"),
    *("valkey", "valkeys", "valkey+unix", "valkey+sentinel", "valkey+cluster"),
}

TOKEN = re.compile(r"[A-Za-z0-9_-]{0,32}\Z")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?\Z")
# Headers that browsers, proxies, this middleware or apps read for something else, in a request or in an answer.
_TAKEN = re.compile(
    r"HTTP_(ACCEPT|ACCESS_CONTROL|AGE|ALLOW|ALT_SVC|AUTHORIZATION|CACHE_CONTROL|CLEAR_SITE_DATA|CONNECTION|CONTENT|"
    r"COOKIE|CROSS_ORIGIN|DATE|ETAG|EXPECT|EXPIRES|FORWARDED|HOST|HX|IF|LAST_MODIFIED|LINK|LOCATION|ORIGIN|PRAGMA|PROXY|"
    r"RANGE|REFERER|REFERRER|REFRESH|RETRY_AFTER|SEC|SERVER|SET_COOKIE|STATUS|STRICT_TRANSPORT|TE|TRAILER|TRANSFER|"
    r"UPGRADE|USER_AGENT|VARY|VIA|WWW_AUTHENTICATE|X_ACCEL|X_CONTENT_TYPE|X_FRAME|"
    r"X_FORWARDED_(FOR|HOST|METHOD|PORT|PREFIX|PROTO|URI)|X_HTTP|X_INERTIA|X_METHOD|X_REQUESTED_WITH|X_SENDFILE|"
    r"X_SIGN_IN)(_|\Z)"
)
_PATH = re.compile(r"(?:/[^\x00-\x20\x7f/\\;?#%]+)+\Z")
_HOW_TO_MAKE_A_KEY = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"


def require(good: bool, name: str, problem: str, hint: str) -> None:
    """Raise `ConfigError` unless `good`."""
    if not good:
        raise ConfigError(name, problem, hint)


def require_duration(name: str, value: object, least: timedelta, most: timedelta) -> None:
    """A timedelta within these limits, which are included."""
    if not isinstance(value, timedelta):
        raise ConfigError(name, "is not a timedelta", f"Give a timedelta between {least} and {most}.")
    require(least <= value <= most, name, f"{value} is out of range", f"Choose between {least} and {most}.")


def require_number(name: str, value: object, least: int, most: int) -> None:
    """A whole number within these limits, which are included. True and False are no numbers."""
    good = type(value) is int and least <= value <= most
    require(good, name, f"{value!r} is not a whole number in range", f"Choose between {least} and {most}.")


def require_bool(name: str, value: object) -> None:
    """True or False."""
    require(isinstance(value, bool), name, f"{value!r} is not true or false", "Give True or False.")


def require_storage(uri: object) -> None:
    """Where the counters are: "store", "memory://", or an address of Redis or Valkey: one, by Sentinel, a Cluster."""
    name, hint = "lockout.storage", 'Use "store" or a "redis://" address.'
    require(isinstance(uri, str), name, "is not text", hint)
    scheme = str(uri).split("://")[0]
    if "memcached" in scheme:
        raise ConfigError(name, "memcached cannot release an attempt slot atomically", hint)
    require(
        uri == "store" or uri == "memory://" or scheme in _COUNTER_SCHEMES,
        name,
        f"{scheme!r} is not a known counter storage",
        hint,
    )


def read(key: str, kind: str, value: Any) -> Any:
    """A setting from the text of an environment variable. `kind` is the field's annotation.

    Returns a value that is not text unchanged.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if kind.startswith("Mapping"):
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return {name.strip(): what.strip() for name, _, what in pairs}
    if "Sequence" in kind:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        if "timedelta" in kind:
            return timedelta(seconds=float(text))
        if "int" in kind:
            return None if "None" in kind and text == "" else int(text)
    except (ValueError, OverflowError):
        raise ConfigError(
            key, f"{text!r} is not a number", "Give durations in seconds and counts as whole numbers."
        ) from None
    if kind == "bool":
        truth = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        require(text.lower() in truth, key, f"{text!r} is not true or false", "Use 1 or 0.")
        return truth[text.lower()]
    return text


def texts(value: object) -> tuple[str, ...] | None:
    """The items of a tuple or list of texts; None for anything else."""
    if not isinstance(value, (tuple, list)) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)


def secret_keys(value: object) -> tuple[str, ...]:
    """The secret keys, newest first: each at least 32 bytes, not taken from an example, and no few letters repeated."""
    name = "secret_key"
    keys = (value,) if isinstance(value, str) else texts(value)
    if not keys:
        raise ConfigError(name, "is missing or not text", _HOW_TO_MAKE_A_KEY)
    for key in keys:
        letters = re.sub(r"[^a-z]", "", key.lower())
        words = ("changeme", "changethis", "yoursecret", "secretkeyhere", "djangoinsecure", "replaceme", "placeholder")
        known = any(word in letters for word in words)
        guess = "so an attacker could sign cookies with it"
        require(len(key.encode("utf-8", "replace")) >= 32, name, "is shorter than 32 bytes", _HOW_TO_MAKE_A_KEY)
        require(not known, name, f"is an example from published documentation, {guess}", _HOW_TO_MAKE_A_KEY)
        # A text that begins again after its first eight characters or fewer.
        repeats = any(key[n:] == key[:-n] for n in range(1, 9))
        require(not repeats, name, f"is a few characters over and over, {guess}", _HOW_TO_MAKE_A_KEY)
    require(len(set(keys)) == len(keys), name, "contains the same key twice", "List each key once, newest first.")
    return keys


def base_url(value: object) -> str:
    """The address at which users open the app, without a slash at its end. https, except on a loopback host."""
    name, example = "base_url", 'Use the address that users open, such as "https://reports.example.jp".'
    require(isinstance(value, str) and value != "", name, "is missing", example)
    text = str(value)
    clean = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    require(
        clean, name, "contains characters that no URL contains", example + " Write a non-ASCII host in its xn-- form."
    )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigError(name, "is not a URL", example) from None
    require(parts.scheme in {"http", "https"} and bool(parts.hostname), name, "is not an http or https URL", example)
    require("@" not in parts.netloc, name, "contains a user name", example)
    require(
        not parts.query and not parts.fragment and not text.endswith(("?", "#")),
        name,
        "contains a query or fragment",
        example,
    )
    host = parts.hostname or ""
    if parts.scheme == "http" and is_unspecified(host):
        raise ConfigError(name, f"{host} is where a server listens", "Write the name that users type, or localhost.")
    require(
        parts.scheme == "https" or is_loopback(host),
        name,
        f"plain http would send the passwords and cookies of {host} unencrypted over the network",
        "Put TLS in front of the app (nginx, Caddy, a load balancer) and use https://. http is for localhost only. "
        "To try a phone in your network, see `nipo-auth dev-cert`.",
    )
    path = parts.path.rstrip("/")
    require(not path or is_canonical_path(path), name, "has a path that is not canonical", example)
    shown = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}{'' if port in (None, default) else f':{port}'}{path}"


def is_loopback(host: str) -> bool:
    """Whether a URL's host is localhost, *.localhost, 127.0.0.0/8 or ::1 (RFC 6761 section 6.3)."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_unspecified(host: str) -> bool:
    """Whether a host is 0.0.0.0 or ::, at which a server listens on every address (RFC 4291 section 2.5.2)."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def prefix(value: object) -> str:
    """The path below which the middleware answers: canonical and not "/"."""
    text = value.rstrip("/") if isinstance(value, str) else ""
    hint = 'Use a path such as "/-/auth".'
    require(is_canonical_path(text), "prefix", f"{value!r} is not a canonical path below /", hint)
    # A Location header is ASCII, so a redirect would name another path than the one that is compared.
    require(text.isascii(), "prefix", f"{value!r} contains characters outside ASCII", hint)
    return text


def path_rules(name: str, value: object) -> tuple[str, ...]:
    """Path rules: each is an exact path, such as "/healthz", or a subtree, such as "/static/*"."""
    listed = texts(value)
    if listed is None:
        raise ConfigError(name, "is not a list of paths", f'Write it as a list: {name}=["/static/*"].')
    for rule in listed:
        path = rule.removesuffix("/*") if rule.endswith("/*") else rule.removesuffix("/")
        require("*" not in path, name, f"{rule!r} contains a * that is not its end", 'Write a subtree as "/static/*".')
        require(not rule.endswith("$"), name, f"{rule!r} ends in a $", f"{rule[:-1]!r} is exactly that path already.")
        good = rule in {"/", "/*"} or is_canonical_path(path)
        require(
            good,
            name,
            f"{rule!r} is not a canonical path",
            'Start it with "/". Use no "//", "..", "%", "?", ";" or "\\". Commas separate rules in the environment.',
        )
    return listed


def check_path_rules(public: tuple[str, ...], protected: tuple[str, ...], prefix: str) -> None:
    """Raise `ConfigError` for rules that have no effect or contradict each other."""
    both = sorted(set(public) & set(protected))
    require(not both, "public_paths", f"{both} are in `protected_paths`, too", "Keep each rule in one of the two.")
    for rule in protected:
        inside = any(_covers(other, rule) for other in public)
        hint = "Every path outside the public rules requires a session anyway. Remove this rule."
        require(inside, "protected_paths", f"{rule!r} is outside every public subtree", hint)
    for name, rules in (("public_paths", public), ("protected_paths", protected)):
        for rule in rules:
            # "/*" may cover the prefix: the middleware answers below its prefix before it applies any rule.
            apart = rule == "/*" or not (_covers(rule, prefix) or _covers(prefix + "/*", rule))
            hint = "The middleware's own pages need no rule. Remove it or choose another prefix."
            require(apart, name, f"{rule!r} covers `prefix` ({prefix})", hint)


def _covers(rule: str, other: str) -> bool:
    """Whether the rule `rule` covers every path that the rule `other` covers."""
    if not rule.endswith("/*"):
        return rule == other
    root = rule.removesuffix("/*")
    return other.removesuffix("/*") == root or other.startswith(root + "/")


def is_canonical_path(path: str) -> bool:
    """Whether the path has one spelling: no empty segment, no dots as a segment, nothing encoded."""
    segments = path.split("/")
    return _PATH.match(path) is not None and ":$" not in path and "." not in segments and ".." not in segments


def is_path(text: object) -> bool:
    """Whether a Location header may hold the text as a path of this site. Refuses `//` and `/\\`, which browsers take
    for another site."""
    return isinstance(text, str) and re.match(r"/(?![/\\])[!-\[\]-~]*\Z", text) is not None


def is_line(text: object, most: int) -> bool:
    """Whether the value is one line of at most `most` printable characters."""
    return isinstance(text, str) and len(text) <= most and (text == "" or text.isprintable())


def zone(value: object) -> ZoneInfo:
    """The time zone of this IANA name."""
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = 'Use a name such as "Asia/Tokyo". If the system has no time zones, pip install tzdata.'
        raise ConfigError("timezone", f"{value!r} is not a known time zone", hint) from None


def roles(value: object) -> tuple[str, ...]:
    """The names of the roles: at most 50, with "admin" among them."""
    listed = texts(value) or ()
    good = "admin" in listed and len(set(listed)) == len(listed) and len(listed) <= 50
    good = good and all(re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", role) for role in listed)
    require(
        good,
        "roles",
        f'{value!r} is not a list of role names with "admin"',
        'Use a list such as ("admin", "manager", "staff").',
    )
    return listed


def cookie_names(name: str, value: object) -> tuple[str, ...]:
    """The names of cookies of the host app (RFC 6265 4.1.1), without repetition."""
    listed = texts(value)
    good = listed is not None and all(_COOKIE_NAME.match(one) and "nipo_" not in one for one in listed)
    require(good, name, f"{value!r} is not a list of names of the app's cookies", 'Use a list such as ("session",).')
    return tuple(dict.fromkeys(listed or ()))


def require_identity(name: str, value: object, attributes: tuple[str, ...]) -> None:
    """The name of one of these attributes of a user, or a function of the user."""
    listed = ", ".join(f'"{attribute}"' for attribute in attributes)
    hint = f"Use {listed}, or a function that takes a User and returns text."
    require(callable(value) or value in attributes, name, f"{value!r} names nothing of a user", hint)


def identity_headers(value: object) -> dict[str, Any]:
    """Names of headers, each with what the app reads there. No name may be one that other code relies on."""
    name, form = "identity_headers", '{"X-Forwarded-Email": "email"}'
    hint = f"Write it as {form}, and in the environment as X-Forwarded-Email=email,X-Forwarded-User=id."
    if not isinstance(value, Mapping):
        raise ConfigError(name, "is not a mapping", hint)
    for header, what in value.items():
        good = isinstance(header, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", header) is not None
        require(good, name, f"{header!r} is not the name of a header", hint)
        taken = _TAKEN.match(header_key(header)) is not None
        require(not taken, name, f"{header!r} has another meaning", "Choose a name of its own, such as X-User.")
        require_identity(name, what, ("id", "email", "name", "role"))
    keys = [header_key(header) for header in value]
    require(len(set(keys)) == len(keys), name, "names one header twice", "Servers take - and _ in a name for one.")
    return dict(value)


def header_key(header: str) -> str:
    """The key of a request header in the environ (PEP 3333). Servers write `-` and `_` alike."""
    return "HTTP_" + header.upper().replace("-", "_")


def language_codes(value: object) -> tuple[str, ...]:
    """The language codes, such as "ja" or "pt-BR", each once."""
    listed = texts(value)
    if not listed:
        raise ConfigError("languages", "is not a list of language codes", 'Use a list such as ("ja", "en").')
    good = all(_LANGUAGE.match(code) for code in listed) and len(set(listed)) == len(listed)
    require(good, "languages", f"{listed} contains a wrong or repeated code", 'Use a list such as ("ja", "en").')
    return listed
