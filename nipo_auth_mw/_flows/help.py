"""The questions that users ask about signing in, and the facts that the answers name."""

from __future__ import annotations

from dataclasses import dataclass

from nipo_auth_mw._credentials.email_links import RESET_LASTS
from nipo_auth_mw.config import AuthConfig

TOPICS = (
    "forgotten",
    "refused",
    "again",
    "mail",
    "disabled",
    "unknown",
    "phone",
    "address",
    "identifier",
    "shared",
    "audit",
)
ADMIN_TOPICS = (
    "admin_password",
    "admin_locked",
    "admin_lost",
    "admin_leaver",
    "admin_disabled",
    "admin_audit",
    "admin_only",
)
"""The questions of administrators."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The configuration as the answers name it. Durations are in seconds. `sender` is "" if the mailer has none."""

    reset_lasts: int
    failures: int
    lock_lasts: int
    idle_days: int
    sender: str


def facts(config: AuthConfig, sender: str) -> Facts:
    """The facts of a configuration whose mails come from `sender`."""
    return Facts(
        reset_lasts=int(RESET_LASTS.total_seconds()),
        failures=config.lockout.failures,
        lock_lasts=int(config.lockout.duration.total_seconds()),
        idle_days=config.session.idle.days,
        sender=sender,
    )
