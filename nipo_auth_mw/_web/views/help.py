"""The help page for users."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.help import ADMIN_TOPICS, TOPICS, Facts, facts, offered
from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw._flows.staff_bulk import MOST
from nipo_auth_mw._pages.catalogues import Catalogues, blocks
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.request import Request
from nipo_auth_mw.errors import StoreUnavailable

Topic = tuple[str, str, list[tuple[str, list[str]]]]


def show(web: WebContext, request: Request) -> Response:
    """Show every question with its answer, for this configuration. An administrator sees those of administrators too.

    Each question has an id, so a refusal can link to it.
    """
    with suppress(StoreUnavailable):
        # In an outage the page says what users need most.
        web.identify(request)
    user = request.session.user if request.session else None
    given = facts(web.config, web.services.outbox.sender)
    ask = web.pages.ask(request.language, user.role if user else "")
    catalogues = web.pages.catalogues
    wanted = (TOPICS, ADMIN_TOPICS if user and user.role == ADMIN else ())
    has = {"two_steps": web.services.factors is not None, "passkeys": web.services.passkeys is not None}
    users, admins = (topics(catalogues, request.language, given, ask, offered(one, **has)) for one in wanted)
    return web.answers.page(request, "help.html", topics=users, admin_topics=admins)


def topics(
    catalogues: Catalogues, language: str, facts: Facts, ask: str, wanted: Sequence[str] = TOPICS
) -> list[Topic]:
    """The questions with their names and answers. An answer is a list of paragraphs and lists (`catalogues.blocks`).

    `ask` says whom the reader can ask.
    """
    known = "known" if facts.sender else "unknown"
    values = {
        "ask": ask,
        "lasts": catalogues.duration(language, facts.reset_lasts),
        "failures": facts.failures,
        "lock": catalogues.duration(language, facts.lock_lasts),
        "most": MOST,
        "idle": catalogues.duration(language, facts.idle),
        "sender": catalogues.text(language, f"help.sender.{known}", sender=facts.sender),
    }
    return [
        (
            topic,
            catalogues.text(language, f"help.{topic}.question"),
            blocks(catalogues.text(language, f"help.{topic}.answer", **values)),
        )
        for topic in wanted
    ]
