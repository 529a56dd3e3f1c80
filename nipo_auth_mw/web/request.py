"""What we read of a request to our own pages. All of it is the sender's word, so each reader is strict and small."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import Client
from nipo_auth_mw.parts.sessions import Live
from nipo_auth_mw.rules import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_BYTES = 64 * 1024
MOST_FIELDS = 50
_LENGTH = re.compile(r"[0-9]{1,10}\Z")
_FLAGS = frozenset({"remember", "active", "all", "must_change"})
_NO = frozenset({"", "0", "no", "off", "false"})
_LONGEST_ACCEPT = 1024

Environ = dict[str, Any]


class BadRequest(Exception):
    """The request cannot be understood; `status` and `code` say how."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Request:
    """One request below our prefix. `arguments` are the values of a route's `<...>` segments."""

    def __init__(self, environ: Environ, config: AuthConfig) -> None:
        self.environ = environ
        self.method: str = environ.get("REQUEST_METHOD", "GET")
        self.route = environ.get("PATH_INFO", "")[len(config.prefix) + 1 :]
        self.root = root_of(environ, config)
        self.cookies: str = environ.get("HTTP_COOKIE", "")
        self.live: Live | None = None
        self.language = config.default_language
        self.arguments: dict[str, str] = {}
        # Not functools.cached_property: before Python 3.12 all requests of a process share its lock, and one whose body
        # is held back would hold up everybody's.
        self._query: dict[str, str] | None = None
        self._fields: dict[str, str | bool] | BadRequest | None = None

    @property
    def client(self) -> Client:
        """The peer as the server names it, after `trusted_proxies` were taken into account; no header is believed."""
        return Client(
            _address_of(self.environ)[:64], str(self.environ.get("HTTP_USER_AGENT") or "")[:1000], self.language
        )

    @property
    def signed_in(self) -> Live:
        """The live session of a route that needs one. LookupError where a visitor got that far."""
        if self.live is None:
            raise LookupError("this route must ask for a session")
        return self.live

    @property
    def query(self) -> dict[str, str]:
        """The query's fields. Raises `BadRequest` for bad UTF-8, for a field given twice and for too many."""
        if self._query is None:
            self._query = _pairs(self.environ.get("QUERY_STRING", ""))
        return self._query

    @property
    def fields(self) -> dict[str, str | bool]:
        """The body's fields, read once. Raises `BadRequest`: 400, 413 or 415."""
        found = self.receive()
        if isinstance(found, BadRequest):
            raise found
        return found

    def receive(self) -> dict[str, str | bool] | BadRequest:
        """Wait for the body, which the sender can hold back for hours: who it is and what it may do is to be asked
        after that."""
        if self._fields is None:
            try:
                self._fields = self._read_fields()
            except BadRequest as bad:
                self._fields = bad
        return self._fields

    def _read_fields(self) -> dict[str, str | bool]:
        body = _read_body(self.environ)
        if not body:
            return {}
        if self.sends_json:
            return _json_fields(body)
        if media_type(self.environ) != "application/x-www-form-urlencoded":
            raise BadRequest(415, "unsupported_media_type")
        try:
            return dict(_pairs(body.decode("utf-8")))
        except UnicodeDecodeError:
            raise BadRequest(400, "bad_request") from None

    def text(self, name: str) -> str:
        value = self.fields.get(name, "")
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """A check box: its absence means no in a form; JSON names what it means, and absence is the default, yes."""
        value = self.fields.get(name, self.sends_json)
        return value if isinstance(value, bool) else value.lower() not in _NO

    def given_flag(self, name: str) -> bool:
        """A switch that is off unless it is given, in a form and in JSON."""
        return name in self.fields and self.flag(name)

    @property
    def sends_json(self) -> bool:
        return media_type(self.environ) == "application/json"

    @property
    def wants_json(self) -> bool:
        """A JSON body, or an Accept that names JSON and prefers it to HTML; `*/*` is a browser's or curl's shrug."""
        if self.sends_json:
            return True
        wanted = _accepted(self.environ)
        as_json = max((q for kind, q in wanted if kind == "application/json" or kind.endswith("+json")), default=0.0)
        as_html = max((q for kind, q in wanted if kind in {"text/html", "application/xhtml+xml"}), default=0.0)
        return as_json > as_html


def _address_of(environ: Environ) -> str:
    """REMOTE_ADDR; the peer's own where a proxy's word for it is no address, such as RFC 7239's `unknown`, so that it
    slips past no limit (CVE-2024-47070)."""
    address = str(environ.get("REMOTE_ADDR") or "")
    peer = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR")
    return address if _is_address(address) else str(peer or address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def root_of(environ: Environ, config: AuthConfig) -> str:
    """The path the app is mounted at as people see it: `base_url`'s, else SCRIPT_NAME.

    Servers that cut SCRIPT_NAME out of the requested path may leave it two slashes, and a Location that starts with
    two names another host.
    """
    mount = str(environ.get("SCRIPT_NAME", "")).strip("/")
    return config.mount or (_quoted(f"/{mount}") if mount else "")


def path_of(environ: Environ, config: AuthConfig) -> str:
    """The requested path and query as people see them, fit for `next`."""
    path = root_of(environ, config) + _quoted(environ.get("PATH_INFO", ""))
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{quote(query, safe=_QUERY_SAFE, encoding='latin-1', errors='replace')}" if query else path


_QUERY_SAFE = "%/?:@!$&'()*+,;=-._~[]"


def _quoted(path: str) -> str:
    # WSGI holds the bytes of a path as latin-1 characters (PEP 3333).
    return quote(path, safe="/:@!$&'()*+,=~-._", encoding="latin-1", errors="replace")


def is_navigation(environ: Environ) -> bool:
    """Whether a person is about to see the answer in the address bar's page (contract, section 3)."""
    if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
        return False
    mode = environ.get("HTTP_SEC_FETCH_MODE")
    if mode is not None:
        return bool(mode == "navigate")
    return not environ.get("HTTP_ACCEPT") or accepts_html(environ)


def accepts_html(environ: Environ) -> bool:
    return any(kind in {"text/html", "application/xhtml+xml"} and q > 0 for kind, q in _accepted(environ))


def is_from_elsewhere(environ: Environ, config: AuthConfig) -> bool:
    """Whether a page of another origin made the browser send this.

    Every browser in use sends Sec-Fetch-Site, and older ones Origin, with a cross-site POST, and no page can set
    either. Without both it is a program, which has no cookies to be abused. Host is the sender's word too. The model is
    Go 1.25's `http.CrossOriginProtection`, whose documentation gives the reasoning; ASVS 5 3.5.1.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or origin == config.origin:
        return False
    return config.secure or not _is_loopback_origin(origin)


def _is_loopback_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        return parts.scheme == "http" and not parts.path and is_loopback(parts.hostname or "")
    except ValueError:
        return False


def names_wrong_host(environ: Environ, config: AuthConfig) -> bool:
    """With a plain http `base_url`, a Host that is not this machine: someone uses a development set-up for real."""
    host = environ.get("HTTP_HOST")
    if config.secure or not host:
        return False
    name = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", host)
    return name is None or not is_loopback(name.group(1))


def media_type(environ: Environ) -> str:
    return str(environ.get("CONTENT_TYPE") or "").split(";", 1)[0].strip(" \t").lower()


def _accepted(environ: Environ) -> list[tuple[str, float]]:
    """Accept as pairs of media type and quality (RFC 9110, section 12.5.1); nonsense counts as not said."""
    found = []
    for part in str(environ.get("HTTP_ACCEPT") or "")[:_LONGEST_ACCEPT].split(","):
        kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        if re.fullmatch(r"[01](\.[0-9]{0,3})?", quality):
            found.append((kind, float(quality)))
    return found


def _read_body(environ: Environ) -> bytes:
    """All of the body, never more than the cap and one byte. Raises `BadRequest`."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length:
        if environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING"):
            raise BadRequest(400, "bad_request")
        return b""
    if not _LENGTH.match(length):
        raise BadRequest(400, "bad_request")
    expected = int(length)
    if expected > MOST_BYTES:
        raise BadRequest(413, "too_large")
    chunks: list[bytes] = []
    left = expected
    try:
        while left > 0 and (chunk := environ["wsgi.input"].read(left)):
            chunks.append(chunk)
            left -= len(chunk)
    except OSError:
        raise BadRequest(400, "bad_request") from None
    if left > 0:
        raise BadRequest(400, "bad_request")
    return b"".join(chunks)


def _pairs(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest(400, "bad_request") from None
    return _once(pairs)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A field given twice is refused, since two readers could choose differently (ASVS 5 15.3.7)."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields or len(fields) >= MOST_FIELDS:
            raise BadRequest(400, "bad_request")
        fields[name] = value
    return fields


def _json_fields(body: bytes) -> dict[str, str | bool]:
    try:
        data = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadRequest(400, "bad_request") from None
    if not isinstance(data, dict):
        raise BadRequest(400, "bad_request")
    for name, value in data.items():
        if not isinstance(value, bool if name in _FLAGS else str) or not _is_text(f"{name}{value}"):
            raise BadRequest(400, "bad_request")
    return data


def _is_text(text: str) -> bool:
    """JSON can spell lone surrogates, which are no text and have no bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
