"""The form for new accounts and new passwords, which several staff pages show."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.request import Request


def facts(web: WebContext, request: Request) -> dict[str, Any]:
    """The fields of a form for new accounts; after a refusal, as they were sent.

    A password that was refused stays as it was typed. No page holds a password that the server has made and not set.
    """
    names = ("email", "name", "reading", "notify_email", "memo", "password")
    sent = request.method == "POST"
    return {
        "typed": {name: request.text(name)[:20_000] if sent else "" for name in names},
        "role": request.text("role") if sent else "staff",
        "must_change": request.flag("must_change") if sent else True,
        "invite": sent and request.given_flag("invite"),
        "mails": web.services.outbox.sends,
        "roles": web.config.roles,
        "min_length": web.config.passwords.min_length,
        "advice": [],
    }


def role_of(request: Request) -> str:
    """The role that the form gives to those whom it adds."""
    return request.text("role") or "staff"
