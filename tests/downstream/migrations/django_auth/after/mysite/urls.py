from django.http import HttpResponse
from django.urls import path

from nipo_auth_mw.django import role_required


def index(request):
    return HttpResponse(f"Hello, {request.user.get_full_name()}.")


@role_required("admin")
def salaries(request):
    return HttpResponse("All of them.")


urlpatterns = [
    path("", index),
    path("salaries/", salaries),
]
