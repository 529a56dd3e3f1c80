"""What each setting must be. One function a kind of value; every refusal names the field, the problem and the mend."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nipo_auth_mw.errors import ConfigError

TOKEN = re.compile(r"[A-Za-z0-9_-]{0,32}\Z")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?\Z")
_PATH = re.compile(r"(?:/[^\x00-\x20\x7f/\\;?#%]+)+\Z")
_HOW_TO_MAKE_ONE = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"


def need(good: bool, name: str, problem: str, mend: str) -> None:
    if not good:
        raise ConfigError(name, problem, mend)


def need_duration(name: str, value: object, least: timedelta, most: timedelta) -> None:
    if not isinstance(value, timedelta):
        raise ConfigError(name, "is not a timedelta", f"Give a timedelta between {least} and {most}.")
    need(least <= value <= most, name, f"{value} is out of range", f"Choose between {least} and {most}.")


def need_number(name: str, value: object, least: int, most: int) -> None:
    good = type(value) is int and least <= value <= most
    need(good, name, f"{value!r} is not a whole number in range", f"Choose between {least} and {most}.")


def need_bool(name: str, value: object) -> None:
    need(isinstance(value, bool), name, f"{value!r} is not true or false", "Give True or False.")


def need_counters(uri: object) -> None:
    name, where = "lockout.counters", 'Use "store", or a redis:// address.'
    need(isinstance(uri, str), name, "is not text", where)
    scheme = str(uri).split("://")[0]
    if "memcached" in scheme:
        raise ConfigError(name, "memcached cannot give back a place atomically", where)
    need(
        uri == "store" or uri == "memory://" or scheme in {"redis", "rediss", "redis+unix"},
        name,
        f"{scheme!r} is no known kind of counter storage",
        where,
    )


def read(key: str, kind: str, value: Any) -> Any:
    """One setting from the text an environment variable holds; values that are no text are taken as they are."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if "Sequence" in kind:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        if "timedelta" in kind:
            return timedelta(seconds=float(text))
        if "int" in kind:
            return None if "None" in kind and text == "" else int(text)
    except (ValueError, OverflowError):
        raise ConfigError(key, f"{text!r} is no number", "Durations are seconds, counts whole numbers.") from None
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
        need(text.lower() in truth, key, f"{text!r} is not true or false", "Use 1 or 0.")
        return truth[text.lower()]
    return text


def texts(value: object) -> tuple[str, ...] | None:
    """The items of a tuple or list of texts; None for anything else."""
    if not isinstance(value, (tuple, list)) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)


def secret_keys(value: object) -> tuple[str, ...]:
    name = "secret_key"
    keys = (value,) if isinstance(value, str) else texts(value)
    if not keys:
        raise ConfigError(name, "is missing or not text", _HOW_TO_MAKE_ONE)
    for key in keys:
        need(len(key.encode("utf-8", "replace")) >= 32, name, "is shorter than 32 bytes", _HOW_TO_MAKE_ONE)
        telling = re.sub(r"[^a-z]", "", key.lower())
        words = ("changeme", "changethis", "yoursecret", "secretkeyhere", "djangoinsecure", "replaceme", "placeholder")
        known = any(word in telling for word in words)
        need(
            not known,
            name,
            "is an example from somebody's documentation, so anyone could sign cookies",
            _HOW_TO_MAKE_ONE,
        )
    need(len(set(keys)) == len(keys), name, "holds one key twice", "List each key once, newest first.")
    return keys


def base_url(value: object) -> str:
    name, example = "base_url", 'Use the address people type, such as "https://reports.example.jp".'
    need(isinstance(value, str) and value != "", name, "is missing", example)
    text = str(value)
    clean = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    need(clean, name, "holds characters no address has", example + " Write a non-ASCII host in its xn-- form.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigError(name, "is no address", example) from None
    need(parts.scheme in {"http", "https"} and bool(parts.hostname), name, "is no http(s) address", example)
    need("@" not in parts.netloc, name, "holds a user name", example)
    need(not parts.query and not parts.fragment and not text.endswith(("?", "#")), name, "has a query", example)
    host = parts.hostname or ""
    need(
        parts.scheme == "https" or is_loopback(host),
        name,
        f"plain http would send passwords and cookies of {host} readable over the network",
        "Put TLS in front (nginx, Caddy, a load balancer) and write https:// here; http is for localhost only.",
    )
    path = parts.path.rstrip("/")
    need(not path or is_canonical_path(path), name, "has an odd path", example)
    shown = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}{'' if port in (None, default) else f':{port}'}{path}"


def is_loopback(host: str) -> bool:
    """localhost, *.localhost, 127.0.0.0/8 or ::1, as a URL's host part (RFC 6761 section 6.3)."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def paths(name: str, value: object) -> tuple[str, ...]:
    """Path prefixes in one spelling: a leading slash, no trailing one (but for "/" itself)."""
    listed = texts(value)
    if listed is None:
        raise ConfigError(name, "is not a list of paths", f'Write it as a list: {name}=["/static"].')
    for path in listed:
        good = path == "/" or is_canonical_path(path.rstrip("/"))
        need(good, name, f"{path!r} is no plain path", 'Start it with one "/"; no "//", "..", "%", "?", ";" or "\\".')
    return tuple(path.rstrip("/") or "/" for path in listed)


def is_canonical_path(path: str) -> bool:
    segments = path.split("/")
    return _PATH.match(path) is not None and "." not in segments and ".." not in segments


def is_path(text: object) -> bool:
    return isinstance(text, str) and re.match(r"/(?![/\\])[!-\[\]-~]*\Z", text) is not None


def is_line(text: object, most: int) -> bool:
    return isinstance(text, str) and len(text) <= most and (text == "" or text.isprintable())


def zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        mend = 'Use a name such as "Asia/Tokyo"; where the system has no time zones, pip install tzdata.'
        raise ConfigError("timezone", f"{value!r} is no known time zone", mend) from None


def roles(value: object) -> tuple[str, ...]:
    listed = texts(value) or ()
    good = "admin" in listed and len(set(listed)) == len(listed) and len(listed) <= 50
    good = good and all(re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", role) for role in listed)
    need(good, "roles", f'{value!r} is no list of role names with "admin"', 'Such as ("admin", "manager", "staff").')
    return listed


def language_codes(value: object) -> tuple[str, ...]:
    listed = texts(value)
    if not listed:
        raise ConfigError("languages", "is not a list of language codes", 'Such as ("ja", "en").')
    good = all(_LANGUAGE.match(code) for code in listed) and len(set(listed)) == len(listed)
    need(good, "languages", f"{listed} holds no plain codes", 'Such as ("ja", "en").')
    return listed
