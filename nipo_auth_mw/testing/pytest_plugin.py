"""Fixtures for the suite of a host app, for a project that asks for them:

    # conftest.py
    pytest_plugins = ["nipo_auth_mw.testing.pytest_plugin"]

    # test_app.py
    from app import app

    def test_a_member_sees_the_reports(signed_in):
        assert "山田" in signed_in(app, name="山田").get("/").text

With the plugin, `Auth(app)` of Flask, `protect(…)` of Django and `from_environ()` work on memory, whatever the
environment says. It needs WebTest.
"""

from __future__ import annotations

from typing import Any

import pytest

try:
    from webtest import TestApp  # type: ignore[import-untyped]
except ImportError:
    raise ImportError("the fixtures of nipo_auth_mw need WebTest: pip install WebTest") from None

from nipo_auth_mw import environment
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import Message
from nipo_auth_mw.testing import in_memory, in_memory_from, mails, sign_in_as
from nipo_auth_mw.testing._browsers import middleware_of

__all__ = ["Browsers", "auth_for", "mails_of", "signed_in", "visitor"]


def pytest_configure() -> None:
    """Let apps that read the environment work on memory in this process."""
    environment._stand_in = in_memory_from


def pytest_unconfigure() -> None:
    """Undo it."""
    environment._stand_in = None


class Browsers:
    """The middlewares of one test: of each app its own, or one on memory for an app without."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, AuthMiddleware]] = []

    def auth(self, app: Any) -> AuthMiddleware:
        """The middleware of this app."""
        found = middleware_of(app) or next((auth for wrapped, auth in self._made if wrapped is app), None)
        if found is None:
            found = AuthMiddleware(app, **in_memory())
            self._made.append((app, found))
        return found

    def visitor(self, app: Any) -> Any:
        """A browser of its own, which asks for pages as people's browsers do."""
        outermost = app if middleware_of(app) is not None else self.auth(app)
        return TestApp(outermost, extra_environ={"HTTP_ACCEPT": "text/html,*/*;q=0.8"})

    def signed_in(self, app: Any, email: str = "", *, name: str = "", role: str = "") -> Any:
        """A browser that is signed in as the account with this address, which is made if there is none."""
        browser = self.visitor(app)
        sign_in_as(self.auth(app), browser, email, name=name, role=role)
        return browser

    def mails_of(self, app: Any) -> list[Message]:
        """The mails that the middleware of this app sent in this test, oldest first."""
        return mails(self.auth(app))


@pytest.fixture
def _nipo_auth_browsers() -> Browsers:
    return Browsers()


@pytest.fixture
def auth_for(_nipo_auth_browsers: Browsers) -> Any:
    """`auth_for(app)`: the app's `AuthMiddleware`, with `accounts`."""
    return _nipo_auth_browsers.auth


@pytest.fixture
def visitor(_nipo_auth_browsers: Browsers) -> Any:
    """`visitor(app)`: a WebTest browser without a session."""
    return _nipo_auth_browsers.visitor


@pytest.fixture
def signed_in(_nipo_auth_browsers: Browsers) -> Any:
    """`signed_in(app, "yamada@example.com", name=…, role=…)`: a WebTest browser with a session."""
    return _nipo_auth_browsers.signed_in


@pytest.fixture
def mails_of(_nipo_auth_browsers: Browsers) -> Any:
    """`mails_of(app)`: the mails that were sent."""
    return _nipo_auth_browsers.mails_of
