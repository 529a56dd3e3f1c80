"""What people ask about signing in, answered for the configuration at hand."""

from __future__ import annotations

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.parts.links import RESET_LASTS
from nipo_auth_mw.parts.texts import Texts, blocks

TOPICS = (
    "forgotten",
    "refused",
    "again",
    "mail",
    "disabled",
    "phone",
    "address",
    "identifier",
    "shared",
    "history",
)

Answer = list[tuple[str, list[str]]]


def topics(texts: Texts, language: str, config: AuthConfig, sender: str) -> list[tuple[str, Answer]]:
    """Questions and answers; an answer is a list of paragraphs and lists (`texts.blocks`)."""
    allow = texts.text(language, f"help.sender.{'known' if sender else 'unknown'}", sender=sender)
    values = {
        "lasts": texts.duration(language, int(RESET_LASTS.total_seconds())),
        "failures": config.lockout.failures,
        "lock": texts.duration(language, int(config.lockout.duration.total_seconds())),
        "idle_days": config.session.idle.days,
        "sender": allow,
    }
    keys = [f"help.{topic}" for topic in TOPICS]
    return [
        (texts.text(language, f"{key}.question"), blocks(texts.text(language, f"{key}.answer", **values)))
        for key in keys
    ]
