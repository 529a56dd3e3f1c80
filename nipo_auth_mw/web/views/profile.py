"""The person's own language and address for notices."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.profile import change_profile
from nipo_auth_mw.web import detours
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site
from nipo_auth_mw.web.views import account

_STATUS = {"unknown_language": 422, "email_rejected": 422, "sign_in_required": 401, "too_many_mails": 429}


def submit(site: Site, request: Request) -> Response:
    given = {name: request.text(name) if name in request.fields else None for name in ("notify_email", "language")}
    refused = change_profile(
        site.services,
        request.signed_in,
        notify_email=given["notify_email"],
        language=given["language"],
        client=request.client,
    )
    if refused is None:
        # The switch goes before the account's language, so it must not stand in its way.
        cookies = [site.language_cookie.set(given["language"])] if given["language"] else []
        return site.answers.done(request, site.path(request, "account"), cookies, said="profile_changed", profile=given)
    if refused.reason == "fresh_sign_in_required":
        return detours.stale(site, request.environ)
    context = account.facts(site, request) | {"typed": given["notify_email"]}
    return site.answers.refuse(
        request,
        refused.reason,
        _STATUS[refused.reason],
        template="account.html",
        context=context,
        retry_after=refused.retry_after,
    )
