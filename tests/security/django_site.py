"""A Django site of two secret views, for tests of paths."""

from __future__ import annotations

import types
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path, re_path

_RAN: list[list[str]] = [[]]


def _secret(request: Any) -> HttpResponse:
    _RAN[0].append("secret")
    return HttpResponse("secret")


def _other(request: Any) -> HttpResponse:
    return HttpResponse("other")


def django_app(ran: list[str]) -> Any:
    """The site; `ran` gets a word whenever a secret view runs. Django keeps one set of settings a process."""
    _RAN[0] = ran
    if not settings.configured:
        urls = types.ModuleType("urls")
        secret = [path(f"{start}/secret{end}", _secret) for start in ("inside", "open") for end in ("", "/")]
        urls.urlpatterns = [*secret, re_path(r"^open/page$", _other)]  # type: ignore[attr-defined]
        middleware = ["django.middleware.common.CommonMiddleware"]
        settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="k", DEBUG=False, MIDDLEWARE=middleware)
        django.setup()
    return WSGIHandler()
