"""What the pages share that ask a signed-in person for their password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site

STATUS = {"wrong_password": 403, "locked": 429, "too_many_attempts": 429, "busy": 503, "sign_in_required": 401}  # nosec B105


def refuse(site: Site, request: Request, refused: Refused, *, template: str, context: Mapping[str, Any]) -> Response:
    """The form again, with what became of the password."""
    text = ""
    if refused.began:
        text = "wrong_password_lock_begun"
    elif refused.reason == "locked":
        text = "locked_for_good" if refused.retry_after is None else "password_locked"
    if refused.reason == "sign_in_required":
        template, context = "ended.html", {"login_url": site.path(request, "login")}
    return site.answers.refuse(
        request,
        refused.reason,
        STATUS[refused.reason],
        text=text or ("session_ended" if refused.reason == "sign_in_required" else ""),
        template=template,
        context=context,
        retry_after=refused.retry_after,
    )
