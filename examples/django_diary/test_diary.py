"""The suite of the Django site, with Django's own test case and the client of the test kit."""

from __future__ import annotations

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "diary_settings"
django.setup()

from django.test import TestCase  # noqa: E402
from django.test.utils import (  # noqa: E402
    setup_databases,
    setup_test_environment,
    teardown_databases,
    teardown_test_environment,
)

from nipo_auth_mw.testing.django import Client  # noqa: E402


def setup_module(module):
    setup_test_environment()
    module.databases = setup_databases(verbosity=0, interactive=False)


def teardown_module(module):
    teardown_databases(module.databases, verbosity=0)
    teardown_test_environment()


class DiaryTest(TestCase):
    client_class = Client

    def test_a_visitor_is_asked_to_sign_in(self):
        answer = self.client.get("/", headers={"Accept": "text/html"})
        self.assertRedirects(answer, "/-/auth/login?next=/", status_code=303)

    def test_a_member_is_a_django_user(self):
        self.client.sign_in("yamada@example.com", name="山田")
        self.assertContains(self.client.get("/"), "The diary of yamada@example.com")
        assert self.client.get("/all").status_code == 403

    def test_an_administrator_sees_all(self):
        self.client.sign_in("boss@example.com", role="admin")
        self.assertContains(self.client.get("/all"), "all diaries")
