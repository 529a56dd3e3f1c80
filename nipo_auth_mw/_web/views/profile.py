"""The change of a user's language and notification address."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.profile import change_profile
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._web import challenges
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.views import account


@takes("notify_email", "language", gives={"next": str, "profile": dict[str, str | None]})
def submit(web: WebContext, request: Request) -> Response:
    """Write the fields that are sent; an absent field stays as it is."""
    given = {name: request.text(name) if name in request.fields else None for name in ("notify_email", "language")}
    refused = change_profile(
        web.services,
        request.signed_in,
        notify_email=given["notify_email"],
        language=given["language"],
        client=request.client,
    )
    if refused is None:
        # The cookie of the language switch overrides the account's language, so it has to change too.
        cookies = [web.language_cookie.set(given["language"])] if given["language"] else []
        to = web.path(request, "account")
        return web.answers.done(request, to, cookies, flash="profile_changed", profile=given)
    if refused.code == REAUTHENTICATION.code:
        return challenges.meet_first(web, request.environ, REAUTHENTICATION, request.session)
    facts = account.facts(web, request) | {"typed": given["notify_email"]}
    return web.answers.refuse(request, refused, "account.html", **facts)
