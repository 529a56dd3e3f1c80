"""The changes that a user makes without a password: the language and the notification address."""

from __future__ import annotations

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.outcomes import SESSION_ENDED, TOO_MANY_CHANGES, Refused, refusal
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.revocation import hold_session
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import EmailRejected
from nipo_auth_mw.models import AccountState, Client

PROFILE_CHANGED = EventType("profile_changed", EventGroup.PROFILE)


def change_profile(
    services: Services, session: ActiveSession, *, notify_email: str | None, language: str | None, client: Client
) -> Refused | None:
    """Write the values that are given. None leaves a value as it is, and "" removes it. Returns None on success.

    A new notification address needs a fresh session, and both notification addresses are notified of it. Raises
    `StoreUnavailable`.
    """
    before = services.account_states.account_state(session.user.id)
    if language and language not in services.config.languages:
        return Refused("unknown_language")
    notify = new_notify_email(services, notify_email, before, session)
    if isinstance(notify, Refused):
        return notify
    wanted = {"language": before.language if language is None else language or None, "notify_email": notify}
    changes = {name: value for name, value in wanted.items() if value != getattr(before, name)}
    if not changes:
        return None
    account = services.users.get(session.user.id)
    if account is None:
        return SESSION_ENDED
    elsewhere = "notify_email" in changes
    if elsewhere and not services.quotas.allow_about(account.id, "notify email", an_hour=5):
        return Refused("too_many_mails", 60)
    if elsewhere and not allow_notify_email_mails(services, account.id, account.email, before.notify_email, notify):
        return TOO_MANY_CHANGES
    with services.log.transaction() as record:
        if not hold_session(services, session, account):
            return SESSION_ENDED
        after = change_account_state(services, account.id, **changes)
        record(PROFILE_CHANGED, subject=account, client=client, what=" ".join(changes))
        if elsewhere:
            services.notifications.notify_email_changed(account, before, after, client)
    return None


def allow_notify_email_mails(services: Services, by: str, *to: str | None) -> bool:
    """Whether the user with the id `by` may cause mails about a new notification address to these addresses.

    At most ten such mails an hour, wherever they go: two of three may go to strangers. A change beyond that is refused,
    since every change that is made must be told.
    """
    mails = len({one for one in to if one})
    return services.quotas.allow_mails(by, "notify email by", mails, an_hour=10)


def new_notify_email(
    services: Services, typed: str | None, state: AccountState, session: ActiveSession | None
) -> str | Refused | None:
    """The notification address to write, None for none. `typed` is None if it stays as it is.

    Notifications warn the owner of a takeover, so sending them elsewhere is a sensitive action: it needs a fresh
    session, whichever page it comes from. `session` is None for a script and for the command line.
    """
    if typed is None:
        return state.notify_email
    try:
        new = services.addresses.receiving(typed) if typed.strip() else None
    except EmailRejected as rejected:
        return refusal(rejected)
    if new != state.notify_email and session is not None and not services.sessions.fresh(session.public):
        return Refused(REAUTHENTICATION.code)
    return new
