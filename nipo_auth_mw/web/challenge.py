"""The app's own bare 401, answered with our sign-in page: `start_response` watched, for visitors only.

Nothing is buffered. An app that calls `start_response` before it returns is let through untouched; for a lazy one, such
as a generator, the wrapper sees the first step of its iterable and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class Watch:
    """Stands in for `start_response` and holds back a 401 that names no way of signing in."""

    __slots__ = ("_start_response", "bare_401", "called", "watching")

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self.called = False
        self.watching = True
        self.bare_401 = False

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        self.called = True
        self.bare_401 = status.startswith("401") and self.watching and not _names_a_way(headers)
        if self.bare_401:
            return _ignore
        if exc_info:
            return self._start_response(status, headers, exc_info)
        return self._start_response(status, headers)


def _names_a_way(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "www-authenticate" for name, _ in headers)


def _ignore(data: bytes) -> None:
    """The body of an answer that is replaced."""


def call(app: WSGIApp, environ: Environ, start_response: StartResponse, instead: WSGIApp) -> Iterable[bytes]:
    """Call the app; where it answers a bare 401, close its iterable and answer with `instead`."""
    watch = Watch(start_response)
    body = app(environ, watch)
    if not watch.called:
        return _Lazy(body, watch, lambda: instead(environ, start_response))
    if not watch.bare_401:
        return body
    close(body)
    return instead(environ, start_response)


def close(body: Iterable[bytes]) -> None:
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
        body, self._body = self._body, ()
        close(body)
