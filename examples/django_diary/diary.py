"""The pages of the diary, and the site's WSGI application."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from nipo_auth_mw.django import protect, role_required


def diary(request: HttpRequest) -> HttpResponse:
    """The diary of the Django user."""
    return HttpResponse(f"The diary of {request.user.get_username()}")


@role_required("admin")
def all_diaries(_request: HttpRequest) -> HttpResponse:
    """All diaries, for administrators."""
    return HttpResponse("all diaries")


urlpatterns = [path("", diary), path("all", all_diaries)]


def __getattr__(name: str) -> object:
    """`application`, when a server asks for it: tests bring a middleware of their own."""
    if name == "application":
        return protect(get_wsgi_application())
    raise AttributeError(name)
