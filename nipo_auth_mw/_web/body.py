"""The body and the query of a request: limited in size, read once, parsed strictly."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from nipo_auth_mw._web.interface import FLAGS
from nipo_auth_mw._web.multipart import MULTIPART, parts_of

MOST_BYTES = 64 * 1024
MOST_FIELDS = 50
MOST_UPLOAD = 1024 * 1024
"""A form with a file, of a sender who may send one."""
_LENGTH = re.compile(r"[0-9]{1,10}\Z")
_DRAINED = 16 * 1024 * 1024

Environ = dict[str, Any]


class BadRequest(Exception):
    """The request cannot be parsed. `code` says why, and `_web.problems` has its status."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Body(NamedTuple):
    """The fields of a form or of a JSON object, and the files of a form."""

    fields: dict[str, str | bool]
    files: dict[str, bytes]


def body_of(environ: Environ, *, upload: bool = False) -> Body:
    """The fields of a form or of a JSON object; with `upload` also a form with files. Raises `BadRequest`.

    A field given twice is refused, since two readers could choose differently (ASVS 5 15.3.7).
    """
    if upload and media_type(environ) == MULTIPART:
        return _uploaded(environ)
    return Body(_fields_of(environ), {})


def _uploaded(environ: Environ) -> Body:
    """The form with files. Raises `BadRequest`."""
    body = _read_body(environ, MOST_UPLOAD)
    try:
        found = parts_of(str(environ.get("CONTENT_TYPE")), body, MOST_FIELDS)
    except ValueError:
        raise BadRequest("bad_request") from None
    both = _once([*found.fields, *found.files])
    files = dict(found.files)
    return Body({name: value for name, value in both.items() if name not in files}, files)


def _fields_of(environ: Environ) -> dict[str, str | bool]:
    """The fields of a form without files, or of a JSON object. Raises `BadRequest`."""
    body = _read_body(environ)
    if not body:
        return {}
    if is_json(environ):
        return _json_fields(body)
    if media_type(environ) != "application/x-www-form-urlencoded":
        raise BadRequest("unsupported_media_type")
    try:
        return dict(pairs_of(body.decode("utf-8")))
    except UnicodeDecodeError:
        raise BadRequest("bad_request") from None


def is_json(environ: Environ) -> bool:
    """Whether the body is JSON by its media type."""
    return media_type(environ) == "application/json"


def media_type(environ: Environ) -> str:
    """The media type of the body, in lower case and without parameters."""
    return str(environ.get("CONTENT_TYPE") or "").split(";", 1)[0].strip(" \t").lower()


def _read_body(environ: Environ, most: int = MOST_BYTES) -> bytes:
    """The whole body, up to the limit of 64 KiB, or of `most` bytes. Raises `BadRequest`."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length:
        return _read_to_the_end(environ, most)
    if not _LENGTH.match(length):
        raise BadRequest("bad_request")
    expected = int(length)
    if expected > most:
        if most > MOST_BYTES:
            _drain(environ, min(expected, _DRAINED))
        raise BadRequest("too_large")
    body = _read(environ, expected)
    if len(body) < expected:
        raise BadRequest("bad_request")
    return body


def _drain(environ: Environ, length: int) -> None:
    """Read and forget the body. A browser that is still sending shows no answer. Raises `BadRequest`."""
    while length > 0 and (read := len(_read(environ, min(length, MOST_BYTES)))):
        length -= read


def drain(environ: Environ) -> None:
    """Read and forget a body that no page reads, up to 16 MiB, if the server marks its end.

    A server that ends a connection with unread bytes resets it, and a proxy in front answers 502 to a user who sends a
    file after the session has ended. A sender that expects `100 Continue` waits for the answer before it sends.
    """
    if environ.get("wsgi.input_terminated") and not environ.get("HTTP_EXPECT"):
        with suppress(BadRequest):
            _drain(environ, _DRAINED)


def _read_to_the_end(environ: Environ, most: int) -> bytes:
    """The body of a request that names no length. Raises `BadRequest`.

    Without a Transfer-Encoding there is no body (RFC 9112, section 6.3). A server that decodes a chunked body, and
    marks its end, says so with `wsgi.input_terminated`: gunicorn says it of every request. A server that does not say
    so may hand over the chunks as they came, or never end.
    """
    if environ.get("wsgi.input_terminated"):
        body = _read(environ, most + 1)
        if len(body) > most:
            raise BadRequest("too_large")
        return body
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise BadRequest("bad_request")
    return b""


def _read(environ: Environ, most: int) -> bytes:
    """At most this many bytes of the body. Raises `BadRequest` if it breaks off, or if its chunks are malformed."""
    chunks: list[bytes] = []
    left = most
    try:
        while left > 0 and (chunk := environ["wsgi.input"].read(left)):
            chunks.append(chunk)
            left -= len(chunk)
    except Exception:
        # Servers raise what they like for chunks that they cannot decode: gunicorn 23 an OSError, 27 an Exception.
        raise BadRequest("bad_request") from None
    return b"".join(chunks)


class Query:
    """The fields of a query. Programs add fields that no page reads, in any encoding, and add them twice.

    What is not UTF-8 becomes U+FFFD, which no redirect target and no address holds.
    """

    def __init__(self, text: str) -> None:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace")
        self._fields: dict[str, str] = dict(pairs)
        self._twice = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}

    def __contains__(self, name: str) -> bool:
        """Whether the field is given."""
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        """The names of the fields."""
        return iter(self._fields)

    def get(self, name: str, default: str = "") -> str:
        """The text of a field. Raises `BadRequest` if it is given twice.

        Two readers could choose differently between two values (ASVS 5 15.3.7).
        """
        if name in self._twice:
            raise BadRequest("bad_request")
        return self._fields.get(name, default)


def pairs_of(text: str) -> dict[str, str]:
    """The fields of a form. Raises `BadRequest`."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("bad_request") from None
    return _once(pairs)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The fields, if each of them is given once. Raises `BadRequest`."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields or len(fields) >= MOST_FIELDS:
            raise BadRequest("bad_request")
        fields[name] = value
    return fields


def _json_fields(body: bytes) -> dict[str, str | bool]:
    """The fields of a JSON object: text, and booleans for the known flags. Raises `BadRequest`."""
    try:
        data = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadRequest("bad_request") from None
    if not isinstance(data, dict):
        raise BadRequest("bad_request")
    for name, value in data.items():
        if not isinstance(value, bool if name in FLAGS else str) or not _is_text(f"{name}{value}"):
            raise BadRequest("bad_request")
    return data


def _is_text(text: str) -> bool:
    """Whether the text can be encoded. JSON can spell lone surrogates, which cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
