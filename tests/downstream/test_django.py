"""A Django site behind the middleware: its own suite, and its first start on a developer's machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def python(*arguments, folder, **environ):
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}", **environ}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=folder, env=given, capture_output=True, text=True, check=False
    )


def test_the_sites_own_suite_passes():
    test = ["-m", "django", "test", "--top-level-directory", ".", "django_site"]
    done = python(*test, folder=HERE, DJANGO_SETTINGS_MODULE="django_site.settings")
    assert done.returncode == 0, done.stderr
    tests = (HERE / "django_site" / "tests.py").read_text("utf-8").count("def test_")
    assert f"Ran {tests} tests" in done.stderr


SITE = """
import os
from pathlib import Path

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from nipo_auth_mw import current_user

BASE_DIR = Path(__file__).parent
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = ["localhost"]
SECRET_KEY = "s"
ROOT_URLCONF = __name__
NIPO_AUTH_SITE_NAME = "日報"
urlpatterns = [path("", lambda request: HttpResponse(current_user(request.environ).name))]
"""
BROWSER = """
from django.core.wsgi import get_wsgi_application
from webtest import TestApp

from nipo_auth_mw.django import protect
from nipo_auth_mw.testing import sign_in_as

application = protect(get_wsgi_application())
browser = TestApp(application, extra_environ={"HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html"})
page = browser.get("/").follow().text
sign_in_as(application, browser, name="山田")
print("日報" in page, browser.get("/").text)
"""


def test_the_first_start_with_debug_needs_nothing_else(tmp_path):
    (tmp_path / "site_settings.py").write_text(SITE, "utf-8")
    given = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONIOENCODING": "utf-8"}
    run = ["-W", "ignore::DeprecationWarning", "-c", BROWSER]
    done = python(*run, folder=tmp_path, DEBUG="1", **given)
    assert done.stdout.split() == ["True", "山田"], done.stderr
    assert (tmp_path / ".nipo-auth" / "secret_key").exists()
