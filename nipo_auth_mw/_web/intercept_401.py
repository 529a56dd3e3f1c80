"""The host app's bare 401, answered with the sign-in page. Only requests of visitors are watched.

A program gets the app's own answer, byte for byte: it may be an error of the app's own API, with its own credentials.

Nothing is buffered. If the app calls `start_response` before it returns, its iterable passes untouched. If the app is
lazy, such as a generator, the wrapper sees the first step of its iterable and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nipo_auth_mw._web.challenges import leads_to_a_page

Environ = dict[str, Any]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class Watch:
    """Stands in for `start_response` and holds back a 401 that names no way to sign in."""

    __slots__ = ("_environ", "_start_response", "bare_401", "called", "watching")

    def __init__(self, environ: Environ, start_response: StartResponse) -> None:
        self._environ = environ
        self._start_response = start_response
        self.called = False
        self.watching = True
        self.bare_401 = False

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        """Pass the status on, or hold it back if it is a bare 401."""
        self.called = True
        self.bare_401 = status.startswith("401") and self.watching and not _names_a_way(headers)
        # Asked last, since parsing Accept costs more than the rest.
        self.bare_401 = self.bare_401 and leads_to_a_page(self._environ)
        if self.bare_401:
            return _ignore
        if exc_info:
            return self._start_response(status, headers, exc_info)
        return self._start_response(status, headers)


def _names_a_way(headers: list[tuple[str, str]]) -> bool:
    """Whether the app names a way to sign in (RFC 9110, section 11.6.1)."""
    return any(name.lower() == "www-authenticate" for name, _ in headers)


def _ignore(data: bytes) -> None:
    """Drop the body of an answer that is replaced."""


def call(app: WSGIApp, environ: Environ, start_response: StartResponse, instead: WSGIApp) -> Iterable[bytes]:
    """Call the app. If it answers with a bare 401, close its iterable and answer with `instead`."""
    watch = Watch(environ, start_response)
    body = app(environ, watch)
    if not watch.called:
        return _Lazy(body, watch, lambda: instead(environ, start_response))
    if not watch.bare_401:
        return body
    close(body)
    return instead(environ, start_response)


def close(body: Iterable[bytes]) -> None:
    """Close the app's iterable, as PEP 3333 demands."""
    closing = getattr(body, "close", None)
    if closing is not None:
        closing()


class _Lazy:
    """The iterable of an app that has not started its answer yet."""

    def __init__(self, body: Iterable[bytes], watch: Watch, instead: Callable[[], Iterable[bytes]]) -> None:
        self._body = body
        self._watch = watch
        self._instead = instead

    def __iter__(self) -> Iterator[bytes]:
        """The app's own steps, or those of the challenge if the first step brought a bare 401."""
        steps = iter(self._body)
        first = next(steps, None)
        if self._watch.bare_401:
            self.close()
            self._body = self._instead()
            yield from self._body
            return
        self._watch.watching = False
        if first is not None:
            yield first
            yield from steps

    def close(self) -> None:
        """Close the iterable once."""
        body, self._body = self._body, ()
        close(body)
