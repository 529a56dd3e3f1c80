"""The questions that users ask about signing in, and the facts that the answers name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nipo_auth_mw._credentials.email_links import RESET_LASTS
from nipo_auth_mw.config import AuthConfig

TOPICS = (
    "forgotten",
    "password",
    "refused",
    "again",
    "mail",
    "disabled",
    "unknown",
    "phone",
    "second_code",
    "second_phone",
    "second_lost",
    "second_shared",
    "passkey",
    "passkey_fails",
    "address",
    "identifier",
    "shared",
    "audit",
)
ADMIN_TOPICS = (
    "admin_new",
    "admin_import",
    "admin_password",
    "admin_locked",
    "admin_lost",
    "admin_second",
    "admin_leaver",
    "admin_disabled",
    "admin_audit",
    "admin_only",
)
"""The questions of administrators."""
_OF_TWO_STEPS = ("second_", "admin_second")
_OF_PASSKEYS = "passkey"


class Facts(NamedTuple):
    """The configuration as the answers name it. Durations are in seconds. `sender` is "" if the mailer has none."""

    reset_lasts: int
    failures: int
    lock_lasts: int
    idle: int
    sender: str


def offered(topics: Sequence[str], *, two_steps: bool, passkeys: bool) -> list[str]:
    """The questions that users can have; those about two steps and about passkeys only where their pages are."""
    missing = (*(() if two_steps else _OF_TWO_STEPS), *(() if passkeys else (_OF_PASSKEYS,)))
    return [topic for topic in topics if not topic.startswith(missing)]


def facts(config: AuthConfig, sender: str) -> Facts:
    """The facts of a configuration whose mails come from `sender`."""
    return Facts(
        reset_lasts=int(RESET_LASTS.total_seconds()),
        failures=config.lockout.failures,
        lock_lasts=int(config.lockout.duration.total_seconds()),
        idle=int(config.session.idle.total_seconds()),
        sender=sender,
    )
