"""Invitations: an account without a password, and a link by which its owner sets one.

The link goes to the mailbox of the account. An owner without one gets it from the administrator, who sees it once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nipo_auth_mw._audit.events import EventGroup, EventType, Record
from nipo_auth_mw._credentials.email_links import OpenedLink
from nipo_auth_mw._flows.accept_link import Accepted, Link, Unfit, accept_link, record_refused_link
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.invitations_state import invitation_of
from nipo_auth_mw._flows.outcomes import TOO_MANY_CHANGES, Refused
from nipo_auth_mw._flows.staff import create_account
from nipo_auth_mw._flows.staff_accounts import account_with
from nipo_auth_mw._flows.staff_actor import Actor, still_allowed
from nipo_auth_mw._lines import person_name
from nipo_auth_mw._mail.composer import WITHDRAWN_FOR
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import AccountState, AttributeValue, Client, User
from nipo_auth_mw.protocols import Account

INVITED = EventType("invited", EventGroup.STAFF)
INVITATION_REVOKED = EventType("invitation_revoked", EventGroup.STAFF)
INVITATION_ACCEPTED = EventType("invitation_accepted", EventGroup.PASSWORD)

_Attributes = dict[str, AttributeValue | None]

_EXPIRED = Refused("link_expired", detail="invitation")
_HAS_PASSWORD = Refused("cannot_invite")
_IS_DISABLED = Refused("cannot_invite", detail="disabled")
_MAILS_TO = 5
_MAILS_BY = 3000
"""An import of 2,000 in an hour, and another half."""
_SHOWN_FOR = 120
"""Seconds. A second press comes within a minute of the first, and waits for its end."""


@dataclass(frozen=True, slots=True)
class Invited:
    """An account is invited until `until`, in seconds since 1970 (UTC).

    `route` is the path of the link below the prefix. It is None if the link is mailed: then no administrator sees it.
    """

    account: Account
    until: float
    route: str | None = field(repr=False)


def create_invited(
    services: Services,
    *,
    email: str,
    name: str,
    role: str,
    actor: Actor,
    notify_email: str | None = None,
    memo: str = "",
    reading: str = "",
    language: str | None = None,
) -> tuple[User, Invited] | Refused:
    """Create an account without a password and invite its owner, both or neither.

    Raises what `create_account` raises.
    """
    address = services.addresses.accepted(email)
    if refused := _too_many(services, address, actor):
        return refused
    made: list[Invited] = []

    def attributes(account: Account) -> _Attributes:
        return _invited_at(services, services.account_states.raise_revocation_counter(account.id))

    user = create_account(
        services,
        email=address,
        password=None,
        name=name,
        role=role,
        active=True,
        notify_email=notify_email,
        language=language,
        memo=memo,
        reading=reading,
        actor=actor,
        first=attributes,
        also=lambda account, state, record: made.append(_tell(services, account, state, record, actor)),
    )
    return user, made[0]


def invite(services: Services, user_id: str, *, actor: Actor) -> Invited | Refused:
    """Make a new link for an account without a password. Every earlier link of the account ends.

    Raises `NoSuchAccount` and `StoreUnavailable`.
    """
    account = account_with(services, user_id, None)
    if refused := _unfit(account) or _too_many(services, account.email, actor):
        return refused
    with services.log.transaction() as record:
        still_allowed(services, actor)
        # First: a request that sets a password meanwhile waits for it, or the next line sees the password.
        counter = services.account_states.raise_revocation_counter(user_id)
        account = account_with(services, user_id, None)
        if refused := _unfit(account):
            return refused
        state = change_account_state(services, user_id, **_invited_at(services, counter))
        return _tell(services, account, state, record, actor)


def invited_now(services: Services, account: Account, *, actor: Actor) -> Invited | None:
    """The invitation that an account has just got from this administrator, with another link to it that ends at the
    same time; None without one. It is for a second press of the form that made the invitation.

    By the invitation of another administrator they could take the account over, and the audit log would not name them.
    """
    state = services.account_states.account_state(account.id)
    invitation = invitation_of(account, state)
    if invitation is None:
        return None
    made_at = invitation.until - services.invitation_links.lasts.total_seconds()
    newest = services.audit.events(user_id=account.id, event=INVITED.name, limit=1)
    if made_at < time.time() - _SHOWN_FOR or not newest or newest[0].actor != actor.name:
        return None
    mailed = gets_mail(services, account.email)
    return Invited(account, invitation.until, None if mailed else _link(services, account, state))


def revoke_invitation(services: Services, user_id: str, *, actor: Actor) -> None:
    """End the link of an account, and of "forgotten password" too: neither lets the owner of the mailbox in until the
    account is invited anew or gets a password. Nothing happens if it is not invited.

    Raises `NoSuchAccount` and `StoreUnavailable`.
    """
    account = account_with(services, user_id, None)
    with services.log.transaction() as record:
        still_allowed(services, actor)
        if invitation_of(account, services.account_states.account_state(user_id)) is None:
            return
        services.account_states.raise_revocation_counter(user_id)
        ended = {"invited_until": None, "invited_at": None, WITHDRAWN_FOR: account.email}
        change_account_state(services, user_id, **ended)
        record(INVITATION_REVOKED, subject=account, client=actor.client, actor=actor.name)


def find_invitation(services: Services, token: str, *, client: Client) -> Account | None:
    """The account of a link, or None. This spends nothing, since mail filters open every link."""
    opened = _opened(services, token, client)
    return opened.account if opened else None


def accept_invitation(
    services: Services, token: str, password: str, *, name: str = "", client: Client, device_cookie: str | None = None
) -> Accepted | Unfit | Refused:
    """Set the first password with the link, and the name if one is given; see `accept_link`. The link decides whose
    account it is. Raises `StoreUnavailable`."""
    opened = _opened(services, token, client)
    if opened is None:
        return _EXPIRED
    link, name = Link(INVITATION_ACCEPTED, _EXPIRED, services.notifications.invitation_accepted), person_name(name)
    return accept_link(services, link, opened, password, name=name, client=client, device_cookie=device_cookie)


def gets_mail(services: Services, email: str) -> bool:
    """Whether mails reach this address: there is a mailer, and the address has a mailbox."""
    return services.outbox.sends and services.addresses.has_mailbox(email)


def _invited_at(services: Services, counter: int) -> _Attributes:
    """The invitation as attributes of the account's state; `counter` is the account's revocation counter."""
    until = time.time() + services.invitation_links.lasts.total_seconds()
    return {"invited_until": until, "invited_at": counter, WITHDRAWN_FOR: None}


def _tell(services: Services, account: Account, state: AccountState, record: Record, actor: Actor) -> Invited:
    """Record the invitation that the state holds, and queue its mail or make its link, in the caller's transaction."""
    until = float(state.attributes["invited_until"])
    record(INVITED, subject=account, client=actor.client, actor=actor.name)
    if gets_mail(services, account.email):
        services.notifications.invitation(account, state, actor.client or Client())
        return Invited(account, until, None)
    return Invited(account, until, _link(services, account, state))


def _link(services: Services, account: Account, state: AccountState) -> str:
    """The path of a link for an account that is invited, below the prefix."""
    return f"invite/{services.invitation_links.make(account, state)}"


def _opened(services: Services, token: str, client: Client) -> OpenedLink | None:
    """The opened link if its invitation is valid now, else None."""
    opened = services.invitation_links.open(token)
    invitation = invitation_of(opened.account, opened.state) if opened else None
    if opened is None or invitation is None or invitation.expired:
        record_refused_link(services, client)
        return None
    return opened


def _too_many(services: Services, email: str, actor: Actor) -> Refused | None:
    """The refusal if an administrator invites one address again and again, or floods other people's mailboxes.

    Counted by address, since an account can be deleted and created anew.
    """
    if actor.client is None or not gets_mail(services, email):
        return None
    allow = services.quotas.allow_mails
    if not allow(f"address {email}", "invitation of", 1, an_hour=_MAILS_TO):
        return TOO_MANY_CHANGES
    return None if services.quotas.allow_mails_by(actor.name, "invitation by", an_hour=_MAILS_BY) else TOO_MANY_CHANGES


def _unfit(account: Account) -> Refused | None:
    """Why the account cannot be invited."""
    if account.password_hash is not None:
        return _HAS_PASSWORD
    return None if account.active else _IS_DISABLED
