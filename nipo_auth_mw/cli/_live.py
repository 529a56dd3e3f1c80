"""`nipo-auth check --live`: checks the running server from outside, as a browser would."""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from nipo_auth_mw._runtime.failures import unreached
from nipo_auth_mw._services import Services
from nipo_auth_mw._validation import is_loopback
from nipo_auth_mw._web.client_address import is_private
from nipo_auth_mw.cli._context import counted
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import StoreUnavailable

_SECONDS = 5
_SOON = 14 * 86400
_CLOCK_TOLERANCE = 5
_FORGED = "203.0.113.77"
"""An address of RFC 5737, from which no request ever comes."""

Finding = tuple[str, str, str]


class _Reply(NamedTuple):
    """An answer with its body, the seconds until the server's certificate expires, and the address of this machine."""

    answer: http.client.HTTPResponse
    body: bytes
    left: float | None
    own_address: str


def findings(services: Services) -> Iterator[Finding]:
    """Send three requests to `base_url`: one for the session, and two sign-ins without an address.

    The rows of the sign-ins in the audit log show which client address the server saw. They count as two failures of
    this machine's address.
    """
    config, tls = services.config, ssl.create_default_context()
    try:
        try:
            reply = _ask(config, tls, "GET", "session", {})
        except ssl.SSLCertVerificationError as problem:
            yield "error", "tls", f"the certificate of {config.base_url} is not valid: {problem.verify_message}"
            # The rest is looked at all the same: no request of this check holds a secret.
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            reply = _ask(config, tls, "GET", "session", {})
    except (OSError, http.client.HTTPException) as problem:
        yield "error", "live", f"{config.base_url} does not answer from here ({unreached(problem)})"
        return
    answer = reply.answer
    yield from _tls(answer, reply.left)
    if b"mount_passed_on" in reply.body:
        text = f"the proxy passes {config.mount} on to the app; let the proxy cut it off, or set SCRIPT_NAME to it"
        yield "error", "mount", text
        return
    if answer.status != 401 or answer.headers.get_content_type() != "application/problem+json":
        yield "error", "live", f"{_url(config, 'session')} is not answered by nipo_auth_mw (status {answer.status})"
        return
    yield "ok", "live", f"{_url(config, 'session')} answers"
    yield from _clock(answer)
    yield from _referrers(answer)
    yield from _proxies(services, tls)


def _url(config: AuthConfig, route: str) -> str:
    """The URL of a route."""
    return f"{config.base_url}{config.prefix}/{route}"


def _ask(
    config: AuthConfig,
    tls: ssl.SSLContext,
    method: str,
    route: str,
    headers: dict[str, str],
    body: str | None = None,
) -> _Reply:
    """The reply of the running server."""
    url = urlsplit(_url(config, route))
    host, port = url.hostname or "", url.port
    if config.secure:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=tls)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.connect()
        own_address = str(connection.sock.getsockname()[0])
        certificate = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
        connection.request(method, url.path, body, {"Accept": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else None
    return _Reply(answer, content, ends - time.time() if ends else None, own_address)


def _tls(answer: http.client.HTTPResponse, left: float | None) -> Iterator[Finding]:
    """Findings about the certificate and Strict-Transport-Security (RFC 6797)."""
    if left is None:
        return
    if left < _SOON:
        yield "warning", "tls", f"the certificate expires in {counted(int(left // 86400), 'day')}"
    else:
        yield "ok", "tls", f"the certificate is valid for {counted(int(left // 86400), 'day')}"
    if "Strict-Transport-Security" not in answer.headers:
        yield (
            "warning",
            "tls",
            "no Strict-Transport-Security; let the proxy send it, so that browsers never try http first",
        )


def _clock(answer: http.client.HTTPResponse) -> Iterator[Finding]:
    """Findings about the server's clock, by its Date header."""
    try:
        ahead = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() - time.time()
    except ValueError:
        return
    if abs(ahead) > _CLOCK_TOLERANCE:
        yield "error", "clock", f"the server's clock is {ahead:+.0f} s from this machine's; set both by NTP"


def _referrers(answer: http.client.HTTPResponse) -> Iterator[Finding]:
    """Findings about Referrer-Policy, which a proxy may add or replace."""
    policies = ", ".join(answer.headers.get_all("Referrer-Policy", []))
    if "no-referrer" in [one.strip() for one in policies.split(",")]:
        text = "a proxy sets Referrer-Policy: no-referrer, so older browsers send the origin null and cannot sign in"
        yield "warning", "referrer_policy", f"{text}; let the proxy leave that header alone"


def _proxies(services: Services, tls: ssl.SSLContext) -> Iterator[Finding]:
    """Findings about `trusted_proxies`, by the client address that the server recorded.

    Some servers take `X_Forwarded-For` for the header that the proxy sends: a client that sends it chooses its address.
    """
    first = list(_seen_with(services, tls, "X-Forwarded-For"))
    yield from first if first[0][0] != "ok" else _seen_with(services, tls, "X_Forwarded-For")


def _seen_with(services: Services, tls: ssl.SSLContext, header: str) -> Iterator[Finding]:
    """The finding after a request with a forged address in this header."""
    config, word = services.config, f"nipo-auth check {secrets.token_hex(8)}"
    headers = {"Content-Type": "application/json", header: _FORGED, "User-Agent": word}
    try:
        reply = _ask(config, tls, "POST", "login", headers, "{}")
        newest = services.audit.events(event="sign_in_failed", limit=50)
    except (OSError, http.client.HTTPException, StoreUnavailable) as problem:
        yield "error", "trusted_proxies", f"could not be checked ({unreached(problem)})"
        return
    seen = next((one.client_address for one in newest if one.user_agent == word), None)
    if reply.answer.status == 429:
        text = "could not be checked: this machine's address has reached the client limit; try again later"
        yield "warning", "trusted_proxies", text
    elif seen is None:
        yield "error", "store", "the server does not write its audit log into this store"
    elif seen == _FORGED and "_" in header:
        text = "the server takes a forged X_Forwarded-For for X-Forwarded-For; let the proxy remove names with _"
        yield "error", "trusted_proxies", text
    elif seen == _FORGED:
        text = (
            "the server believes a forged X-Forwarded-For, so the client limit stops no attacker; lower trusted_proxies"
        )
        yield "error", "trusted_proxies", text
    elif not seen:
        text = "the server sees no client address; set trusted_proxies to the number of proxies"
        yield "error", "trusted_proxies", text
    elif _is_a_proxys(seen) and seen != reply.own_address and not _is_here(config):
        text = f"the server sees the address {seen} of its proxy; set trusted_proxies to the number of proxies"
        yield "error", "trusted_proxies", text
    else:
        yield "ok", "trusted_proxies", f"{config.trusted_proxies} is right: the server sees this machine as {seen}"


def _is_a_proxys(address: str) -> bool:
    """Whether the address may be that of a proxy: one of the server's machine or of a private network."""
    return is_private(address)


def _is_here(config: AuthConfig) -> bool:
    """Whether `base_url` is this machine, so that a loopback address is right."""
    host = urlsplit(config.base_url).hostname or ""
    if is_loopback(host):
        return True
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return any(is_loopback(str(place[4][0])) for place in found)
