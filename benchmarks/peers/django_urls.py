"""The pages of the Django site."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, login, logout
from django.http import HttpResponse
from django.urls import path


def page(request: Any) -> HttpResponse:
    """The address of the user, or -."""
    return HttpResponse(request.user.email if request.user.is_authenticated else "-")


def enter(request: Any) -> HttpResponse:
    """Sign in."""
    user = authenticate(request, username=request.POST["email"], password=request.POST["password"])
    if user is None:
        return HttpResponse("wrong")
    login(request, user)
    return HttpResponse("in")


def leave(request: Any) -> HttpResponse:
    """Sign out."""
    logout(request)
    return HttpResponse("out")


urlpatterns = [path("page", page), path("login", enter), path("logout", leave)]
