"""Rows DJ1-DJ6: what `nipo_auth_mw.django` adds to the middleware. Django keeps one set of settings a process, so each
row is a class of tests of its own site."""

from __future__ import annotations

from tests.downstream.test_django import HERE, python


def passes(row: str) -> None:
    """Run the row's tests in the site's own process."""
    test = ["-m", "django", "test", "--top-level-directory", ".", f"django_site.rows.{row}"]
    done = python(*test, folder=HERE, DJANGO_SETTINGS_MODULE="django_site.settings")
    assert done.returncode == 0, done.stderr
    assert "Ran 0 tests" not in done.stderr


def test_dj1_the_user_of_a_request_is_that_of_the_session_and_ends_with_the_account() -> None:
    passes("DJ1")


def test_dj2_a_refused_user_reaches_no_view() -> None:
    passes("DJ2")


def test_dj3_the_sites_session_ends_with_its_user() -> None:
    passes("DJ3")


def test_dj4_the_django_user_is_the_one_active_user_with_just_this_address() -> None:
    passes("DJ4")


def test_dj5_the_client_signs_in_who_could_sign_in() -> None:
    passes("DJ5")


def test_dj6_a_preflight_on_a_path_that_requires_a_session_runs_no_view_function() -> None:
    passes("DJ6")
