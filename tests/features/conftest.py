"""A user who is signed in, and the mails."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer
from tests.kit import browser, middleware, person, sign_in


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


@pytest.fixture
def tanaka(auth: Any) -> TestApp:
    person(auth)
    device = browser(auth)
    sign_in(device)
    return device
