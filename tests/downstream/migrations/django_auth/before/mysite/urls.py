from django.contrib.auth.decorators import login_required, user_passes_test
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.urls import include, path


class ByAddress(AuthenticationForm):
    """The form asks for the address, and Django for the name."""

    def clean(self):
        asked = self.cleaned_data.get("username", "")
        user = User.objects.filter(email__iexact=asked).order_by("pk").first()
        if user is not None:
            self.cleaned_data["username"] = user.username
        return super().clean()


def is_boss(user):
    if not user.is_superuser:
        raise PermissionDenied
    return True


@login_required
def index(request):
    return HttpResponse(f"Hello, {request.user.get_full_name()}.")


@login_required
@user_passes_test(is_boss)
def salaries(request):
    return HttpResponse("All of them.")


urlpatterns = [
    path("", index),
    path("salaries/", salaries),
    path("accounts/login/", LoginView.as_view(authentication_form=ByAddress), name="login"),
    path("accounts/", include("django.contrib.auth.urls")),
]
