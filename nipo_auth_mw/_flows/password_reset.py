"""The reset of a forgotten password: from an address to a mail, and from its link to a new password."""

from __future__ import annotations

from functools import partial

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.email_links import OpenedLink
from nipo_auth_mw._flows.accept_link import Accepted, Link, Unfit, accept_link, record_refused_link
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_check import count_client
from nipo_auth_mw._flows.two_step import proofs_of
from nipo_auth_mw._mail.composer import gets_reset_links
from nipo_auth_mw._mail.notifications import client_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import EmailRejected
from nipo_auth_mw.models import AccountState, Client, QueuedMail
from nipo_auth_mw.protocols import Account

PASSWORD_RESET_REQUESTED = EventType("password_reset_requested", EventGroup.PASSWORD)
PASSWORD_RESET = EventType("password_reset", EventGroup.PASSWORD)

_EXPIRED = Refused("link_expired")


def request_reset(services: Services, typed: str, *, client: Client) -> Refused | None:
    """Mail a link to the user who signs in with this address. Returns None for every address, known or not.

    A text that cannot be an address, or one of a domain without mail, is refused. That tells nothing: the text alone
    decides.

    The request looks nothing up and writes the same row for every address, so an attacker cannot find out which
    accounts exist (CVE-2024-45231). `answer_request` does the rest in the background. Each request counts as one
    failure of its client address. The request changes nothing about the account. Raises `StoreUnavailable`.
    """
    if wait := services.client_limit.limited(client):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    email = services.addresses.canonical(typed)
    if email is None:
        return Refused(EmailRejected.code)
    if services.addresses.without_mailbox(email):
        return Refused(EmailRejected.code, detail="no_mailbox")
    services.notifications.reset_asked(email, client)
    return None


def answer_request(services: Services, request: QueuedMail) -> None:
    """Look the address of a request up, record the request, and queue the mail with the link.

    An account gets at most one mail a minute and five an hour. The count begins anew with each change of the account:
    an attacker who knows the password could use up the mails and change the password after each. Raises
    `StoreUnavailable`: then nothing has changed, and the outbox tries again.
    """
    account = services.users.find_by_email(request.to)
    state = services.account_states.account_state(account.id if account else "")
    shown, client = account.email if account else services.log.masked(request.to), client_of(request)
    with services.log.transaction() as record:
        services.outbox.settle(request)
        record(PASSWORD_RESET_REQUESTED, subject=account, email=shown, client=client, at=request.queued_at)
        if account is not None and gets_reset_links(account, state) and _may_mail(services, account, state, request):
            services.notifications.reset_link(account, state, client)


def _may_mail(services: Services, account: Account, state: AccountState, request: QueuedMail) -> bool:
    """Apply the quota. Another try after an outage has used up its minute already."""
    quota, spaced = f"reset {state.revocation_counter}", request.tries == 1
    return services.quotas.allow_about(account.id, quota, an_hour=5, spaced=spaced)


def find_reset(services: Services, token: str, *, client: Client) -> Account | None:
    """The account of a link, or None. This spends nothing, since mail filters open every link."""
    opened = _opened(services, token, client)
    return opened.account if opened else None


def reset_password(
    services: Services, token: str, password: str, *, client: Client, device_cookie: str | None = None
) -> Accepted | Unfit | Refused:
    """Set a new password with the link; see `accept_link`. Raises `StoreUnavailable`.

    A reset touches nothing of the second step (CVE-2026-18963); its mail lists what is left of that.
    """
    opened = _opened(services, token, client)
    if opened is None:
        return _EXPIRED
    proofs = [(one.kind, one.name, one.created_at.timestamp()) for one in proofs_of(services, opened.account.id)]
    link = Link(PASSWORD_RESET, _EXPIRED, partial(services.notifications.password_reset, proofs=proofs))
    return accept_link(services, link, opened, password, client=client, device_cookie=device_cookie)


def _opened(services: Services, token: str, client: Client) -> OpenedLink | None:
    """The opened link if it is valid and its account active, else None."""
    opened = services.reset_links.open(token)
    if opened is None or not opened.account.active:
        record_refused_link(services, client)
        return None
    return opened
