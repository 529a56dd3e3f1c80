"""The user or program that acts on another's account, and what it may do."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._flows.outcomes import TOO_MANY_CHANGES, Refused
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import LastAdmin, NotAllowed, NotSupported
from nipo_auth_mw.models import Client
from nipo_auth_mw.protocols import Account, RoleHolders, StaffDirectory

ADMIN = "admin"
_MAILS_ABOUT, _MAILS_BY = 10, 30
_AT_ONCE, _ENOUGH, _MOST_TOLD = 500, 2, 50


class Actor(NamedTuple):
    """The user or program that acts, for the audit log. `client` and `session` are set for an administrator in a
    browser.

    Such an administrator must not act on their own account, must leave one active administrator, and causes a limited
    number of mails. Scripts and the command line are not limited.
    """

    name: str
    client: Client | None = None
    session: ActiveSession | None = None


def still_allowed(services: Services, actor: Actor) -> None:
    """Raise `NotAllowed` if the administrator has lost the role or the session since the request began.

    Call this in the transaction that makes the change: a hash before it may wait for seconds, and a list of accounts
    may take minutes.
    """
    if actor.session is not None and not is_administrator(services, actor.session):
        raise NotAllowed("the administrator has lost the right meanwhile")


def is_administrator(services: Services, session: ActiveSession) -> bool:
    """Whether the session is still active and its user still an administrator."""
    account = services.sessions.owner(session.stored)
    return account is not None and account.role == ADMIN


def too_many_mails(
    services: Services, actor: Actor, account: Account, what: str, *to: str | None, limit_actor: bool = True
) -> Refused | None:
    """The refusal if an administrator's change would send one mail too many to these addresses.

    An account causes ten mails of a kind an hour at most, and an administrator thirty. The change is refused, since the
    owner must be told of every change that is made.
    """
    if actor.client is None or not services.outbox.sends:
        return None
    mails, quotas = len({one for one in to if one}), services.quotas
    if not quotas.allow_mails(account.id, f"{what} of", mails, an_hour=_MAILS_ABOUT):
        return TOO_MANY_CHANGES
    if limit_actor and not quotas.allow_mails(actor.name, f"{what} by", mails, an_hour=_MAILS_BY):
        return TOO_MANY_CHANGES
    return None


def directory_of(services: Services) -> StaffDirectory:
    """The directory of the user store. Raises `NotSupported` if the store has none."""
    if services.directory is None:
        needed = "create, update, delete and search (StaffDirectory)"
        raise NotSupported(f"the app's own user store lacks {needed}, so the app itself has to make this change")
    return services.directory


def keep_an_admin(services: Services, account: Account, actor: Actor) -> None:
    """Raise `LastAdmin` if the account is the last active administrator.

    Call this in the transaction that makes the change: of two administrators who demote each other at once, one is
    refused.
    """
    if actor.client is None:
        return
    # `account` was read before the transaction and may have become the last administrator since.
    if administrators(services) == [account.id]:
        raise LastAdmin("no active administrator would remain")


def administrators(services: Services) -> list[str]:
    """The ids of the active administrators; of a directory that is no `RoleHolders`, the first two."""
    return _active_admins(directory_of(services), _ENOUGH)


def colleagues(services: Services, *without: str) -> list[Account]:
    """The active administrators whose ids are not in `without`, at most 50 of them; none without a directory.

    They are told of what one administrator alone must not do unseen. A directory that is no `RoleHolders` is read
    whole.
    """
    directory = services.directory
    if directory is None:
        return []
    ids = _active_admins(directory, _MOST_TOLD + len(without))
    found = (services.users.get(one) for one in ids if one not in without)
    return list(islice((account for account in found if account is not None), _MOST_TOLD))


def _active_admins(directory: StaffDirectory, enough: int) -> list[str]:
    """The ids of the active administrators. The search of a directory that is no `RoleHolders` stops once it has found
    enough."""
    if offers(directory, RoleHolders):
        return list(directory.active_with_role(ADMIN))
    found: list[str] = []
    after = None
    while len(found) < enough and (page := directory.search("", after=after, limit=_AT_ONCE)):
        found += [other.id for other in page if other.active and other.role == ADMIN]
        after = page[-1].email
    return found
