"""The site's pages."""

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpResponse
from django.template import engines
from django.urls import path
from django.views import View

from nipo_auth_mw import current_user, require_role
from nipo_auth_mw.django import (
    by_email_or_new,
    fresh_login_required,
    login_required,
    role_required,
    second_step_required,
)

RAN: list[str] = []
"""The names of the views with a decorator that ran."""


def django_user(user):
    found = by_email_or_new(user)
    if found is not None and user.role == "admin":
        # For this request alone: the right ends with the role.
        found.is_staff = found.is_superuser = True
    return found


def who(request):
    return HttpResponse(f"{request.user.is_authenticated} {request.user.get_username()}")


async def later(request):
    user = await request.auser()
    return HttpResponse(user.get_username())


@login_required
def mine(request):
    RAN.append("mine")
    return HttpResponse(request.user.email)


@role_required("admin")
def admins(request, number):
    RAN.append("admins")
    return HttpResponse(str(number))


@login_required
async def slow(request):
    RAN.append("slow")
    return HttpResponse("slow")


@fresh_login_required
def sensitive(request):
    return HttpResponse("sensitive")


@second_step_required
def two(request):
    return HttpResponse("two")


@permission_required("auth.add_user")
def adding(request):
    return HttpResponse("adding")


def by_hand(request):
    return HttpResponse(require_role(request.environ, "admin").email)


def save(request):
    request.session["count"] = request.session.get("count", 0) + 1
    messages.success(request, f"saved {request.session['count']}")
    return HttpResponse("")


def saved(request):
    shown = [str(one) for one in messages.get_messages(request)]
    return HttpResponse(f"{request.session.get('count', 0)} {shown}")


def template(request):
    text = "{{ signed_in.name }} {{ auth_url.account }} {{ sign_out_form }} {{ account_menu }}"
    return HttpResponse(engines["django"].from_string(text).render({}, request))


def counted(request):
    RAN.append("counted")
    return HttpResponse("counted", headers={"Access-Control-Allow-Origin": "*"})


async def counted_later(request):
    return counted(request)


class OfClass(View):
    def options(self, request):
        return HttpResponse(headers={"Access-Control-Allow-Origin": request.headers["Origin"]})


def missing(request):
    assert current_user(request.environ)
    return HttpResponse("none", status=404)


urlpatterns = [
    path("counted", counted),
    path("counted-later", counted_later),
    path("class", OfClass.as_view()),
    path("open/adding", adding),
    path("admin/", admin.site.urls),
    path("who", who),
    path("open/who", who),
    path("later", later),
    path("open/mine", mine),
    path("open/slow", slow),
    path("open/admins/<int:number>", admins),
    path("open/by-hand", by_hand),
    path("sensitive", sensitive),
    path("two", two),
    path("save", save),
    path("open/saved", saved),
    path("template", template),
    path("missing", missing),
]
