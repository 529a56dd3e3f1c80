"""What people may change of themselves without a password: the language, and where notices go."""

from __future__ import annotations

import time

from nipo_auth_mw.errors import EmailRejected
from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.models import Client
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.parts.sessions import Live


def change_profile(
    services: Services, live: Live, *, notify_email: str | None, language: str | None, client: Client
) -> Refused | None:
    """Write what is given, None leaving it as it is and "" taking it away. None when it is done.

    Notices warn of a takeover, so sending them elsewhere asks for a fresh sign-in, and is told to both addresses.
    Raises `StoreUnavailable`.
    """
    before = services.session_store.notes_of(live.user.id)
    after = before
    if language is not None:
        if language and language not in services.config.languages:
            return Refused("unknown_language")
        after = after._replace(language=language or None)
    if notify_email is not None:
        try:
            after = after._replace(notify_email=emails.accepted(notify_email) if notify_email.strip() else None)
        except EmailRejected:
            return Refused("email_rejected")
    if after == before:
        return None
    account = services.users.get(live.user.id)
    if account is None:
        return Refused("sign_in_required")
    elsewhere = after.notify_email != before.notify_email
    if elsewhere and not services.sessions.fresh(live.stored):
        return Refused("fresh_sign_in_required")
    if elsewhere and not services.lockout.may_tell(account.id, "notify email", an_hour=5):
        # Each change is told to three addresses, two of which anybody could have written there.
        return Refused("too_many_mails", 60)
    what = [name for name in ("language", "notify_email") if getattr(after, name) != getattr(before, name)]
    with services.recorder.transaction() as record:
        # What is not given stays as it is now, not as it was then.
        kept = services.session_store.notes_of(account.id)
        notify = after.notify_email if elsewhere else kept.notify_email
        services.session_store.set_profile(account.id, language=after.language, notify_email=notify)
        details = {"what": " ".join(what)}
        record(
            event(
                "profile_changed",
                time=time.time(),
                client=client,
                user_id=account.id,
                email=account.email,
                details=details,
            )
        )
    if elsewhere:
        services.notices.notify_email_changed(account, before, after, client)
    return None
