"""The help page for users."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.help import TOPICS, Facts, facts
from nipo_auth_mw._pages.catalogues import Catalogues, blocks
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.request import Request

Topic = tuple[str, list[tuple[str, list[str]]]]


def show(web: WebContext, request: Request) -> Response:
    """Show every question with its answer, for this configuration."""
    told = topics(web.pages.catalogues, request.language, facts(web.config, web.services.outbox.sender))
    return web.answers.page(request, "help.html", topics=told)


def topics(catalogues: Catalogues, language: str, facts: Facts) -> list[Topic]:
    """The questions with their answers. An answer is a list of paragraphs and lists (`catalogues.blocks`)."""
    known = "known" if facts.sender else "unknown"
    values = {
        "lasts": catalogues.duration(language, facts.reset_lasts),
        "failures": facts.failures,
        "lock": catalogues.duration(language, facts.lock_lasts),
        "idle_days": facts.idle_days,
        "sender": catalogues.text(language, f"help.sender.{known}", sender=facts.sender),
    }
    return [
        (
            catalogues.text(language, f"help.{topic}.question"),
            blocks(catalogues.text(language, f"help.{topic}.answer", **values)),
        )
        for topic in TOPICS
    ]
