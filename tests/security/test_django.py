"""Rows DJ1-DJ7: what `nipo_auth_mw.django` adds to the middleware. Django keeps one set of settings a process, so each
row is a class of tests of its own site, and all run in one process."""

from __future__ import annotations

import pytest

from tests.downstream.test_django import HERE, python


@pytest.fixture(scope="module")
def told() -> str:
    """What the site's own process tells of the tests of all rows."""
    test = ["-m", "django", "test", "--verbosity", "2", "--top-level-directory", ".", "django_site.rows"]
    return str(python(*test, folder=HERE, DJANGO_SETTINGS_MODULE="django_site.settings").stderr)


def passes(row: str, told: str) -> None:
    """The row's tests ran in the site's process, and none failed."""
    its_own = [line for line in told.splitlines() if f"(django_site.rows.{row}" in line]
    assert its_own, told
    assert "\nRan " in told, told
    assert not [line for line in its_own if line.startswith(("FAIL:", "ERROR:"))], told


def test_dj1_the_user_of_a_request_is_that_of_the_session_and_ends_with_the_account(told: str) -> None:
    passes("DJ1", told)


def test_dj2_a_refused_user_reaches_no_view(told: str) -> None:
    passes("DJ2", told)


def test_dj3_the_sites_session_ends_with_its_user(told: str) -> None:
    passes("DJ3", told)


def test_dj4_the_django_user_is_the_one_active_user_with_just_this_address(told: str) -> None:
    passes("DJ4", told)


def test_dj5_the_client_signs_in_who_could_sign_in(told: str) -> None:
    passes("DJ5", told)


def test_dj6_a_preflight_on_a_path_that_requires_a_session_runs_no_view_function(told: str) -> None:
    passes("DJ6", told)


def test_dj7_a_site_that_is_served_by_asgi_answers_nothing(told: str) -> None:
    passes("DJ7", told)
