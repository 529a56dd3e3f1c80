"""A user who is signed in, and the mails."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer
from tests.kit import administrator, browser, middleware, person, sign_in


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


@pytest.fixture
def tanaka(auth: Any) -> TestApp:
    person(auth)
    device = browser(auth)
    sign_in(device)
    return device


@pytest.fixture
def boss(auth: Any) -> TestApp:
    return administrator(auth, name="管理 担当")
