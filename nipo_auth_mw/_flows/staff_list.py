"""The list of accounts: who they are, when they were last used, and what an administrator has to know of each."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from nipo_auth_mw import protocols
from nipo_auth_mw._flows.invitations_state import Invitation, invitation_of
from nipo_auth_mw._flows.new_password import reading_of
from nipo_auth_mw._flows.password_check import LOCKED
from nipo_auth_mw._flows.staff_accounts import user_in
from nipo_auth_mw._flows.staff_actor import ADMIN, directory_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import NoSuchAccount, StoreUnavailable
from nipo_auth_mw.models import Account, AccountState, Session, StaffEntry, StaffQuery, StaffSort, StoredSession, User

A_PAGE = 50
ALL = "all"
IN_LOCK = "locked"
FILTERS: Mapping[str, Mapping[str, Any]] = {
    ALL: {},
    "active": {"active": True},
    "disabled": {"active": False},
    "admin": {"role": ADMIN},
    "unused": {"used": False},
    "temporary": {"attribute": "password_change_deadline"},
    "invited": {"attribute": "invited_until", "active": True},
    "two_step": {"attribute": "two_step"},
    "one_step": {"lacking": "two_step", "active": True},
    # The ids come from the audit log and the counters.
    IN_LOCK: {},
}
"""The filters of the list, and what each asks of the store."""
_OF_TWO_STEPS = {"two_step", "one_step"}
_CURSOR = re.compile(r"[0-9]{1,6}", re.ASCII)
_MOST_LOCKS = 500


class Row(NamedTuple):
    """One account in the list. `reading` is its name's reading. `sessions` are those that are signed in now.

    `temporary`: an administrator has set the password, and the user has not changed it yet. `locked`: wrong passwords
    lock the address or a known device. `two_step`: a password alone does not sign the user in.
    """

    user: User
    reading: str
    last_used: datetime | None
    sessions: Sequence[Session]
    temporary: bool
    locked: bool
    invitation: Invitation | None
    two_step: bool = False


class ListRequest(NamedTuple):
    """What the administrator asks for. Texts that name no filter and no order are as good as none."""

    text: str = ""
    show: str = ALL
    sort: str = StaffSort.NAME
    after: str = ""

    @property
    def order(self) -> tuple[StaffSort, bool]:
        """The order, and whether it is reversed: `-last_used` begins with the latest."""
        name = self.sort.removeprefix("-")
        return (StaffSort(name), self.sort.startswith("-")) if name in set(StaffSort) else (StaffSort.NAME, False)


class Listing(NamedTuple):
    """One page of the list. `start` rows come before it, and `total` match; both are None for a store that does not
    number them. `before` and `after` are the cursors of the pages beside it; `before` is "" for the first one."""

    rows: Sequence[Row]
    start: int | None
    total: int | None
    before: str | None
    after: str | None


def filters_of(services: Services) -> list[str]:
    """The filters that the list of this store has."""
    if services.staff_lists is None:
        return []
    return [name for name in FILTERS if services.factors is not None or name not in _OF_TWO_STEPS]


def listed(services: Services, wanted: ListRequest) -> Listing:
    """The page of the list that starts at the cursor `wanted.after`."""
    if services.staff_lists is None:
        return _searched(services, wanted)
    start = int(wanted.after) // A_PAGE * A_PAGE if _CURSOR.fullmatch(wanted.after) else 0
    asked: dict[str, Any] = dict(FILTERS.get(wanted.show, {}))
    if wanted.show == IN_LOCK:
        asked["ids"] = _locked_ids(services)
    sort, descending = wanted.order
    query = StaffQuery(wanted.text, sort=sort, descending=descending, offset=start, limit=A_PAGE, **asked)
    page = services.staff_lists.staff_page(query)
    if start and start >= page.total:
        # The accounts of this page are gone or no longer match: show the last page that there is.
        start = max(page.total - 1, 0) // A_PAGE * A_PAGE
        page = services.staff_lists.staff_page(query._replace(offset=start))
    end = start + len(page.entries)
    return Listing(
        rows_of(services, page.entries),
        start,
        page.total,
        (str(start - A_PAGE) if start > A_PAGE else "") if start else None,
        str(end) if end < page.total else None,
    )


def _searched(services: Services, wanted: ListRequest) -> Listing:
    """A page of a directory that can do no more than search: by address, without filter and numbers."""
    found = directory_of(services).search(wanted.text, after=wanted.after or None, limit=A_PAGE + 1)
    accounts, more = found[:A_PAGE], len(found) > A_PAGE
    states = services.account_states.account_states([account.id for account in accounts])
    entries = [
        _entry(account, states.get(account.id, AccountState()), services.session_store.sessions_of(account.id))
        for account in accounts
    ]
    before = "" if wanted.after else None
    return Listing(rows_of(services, entries), None, None, before, accounts[-1].email if more else None)


def row(services: Services, user_id: str) -> Row:
    """The row of one account. Raises `NoSuchAccount`."""
    if services.staff_lists is not None:
        entries = services.staff_lists.staff_page(StaffQuery(ids=[user_id])).entries
    else:
        account = services.users.get(user_id)
        state, sessions = services.account_states.account_state(user_id), services.session_store.sessions_of(user_id)
        entries = [] if account is None else [_entry(account, state, sessions)]
    if not entries:
        raise NoSuchAccount.of(user_id)
    return rows_of(services, entries)[0]


def rows_of(services: Services, entries: Sequence[StaffEntry]) -> list[Row]:
    """The rows of these accounts. Without counters no account shows a lock."""
    locked: set[str] = set()
    with suppress(StoreUnavailable):
        locked = _locked_among(services, [entry.account for entry in entries])
    return [_row(services, entry, entry.account.id in locked) for entry in entries]


def _entry(account: protocols.Account, state: AccountState, sessions: Sequence[StoredSession]) -> StaffEntry:
    """The entry of an account of a host app's own table."""
    facts = (account.id, account.email, account.password_hash, bool(account.active), account.name or "", account.role)
    return StaffEntry(Account(*facts), state, sessions, None)


def _row(services: Services, entry: StaffEntry, locked: bool) -> Row:
    account, state = entry.account, entry.state
    used = max([entry.last_used_at or 0.0, *(one.seen_at for one in entry.sessions)])
    return Row(
        user_in(account, state),
        reading_of(state),
        datetime.fromtimestamp(used, UTC) if used else None,
        [Session(one) for one in entry.sessions if services.sessions.is_live(one)] if account.active else [],
        state.password_change_deadline is not None,
        locked,
        invitation_of(account, state),
        state.two_step is not None,
    )


def _locked_among(services: Services, accounts: Sequence[protocols.Account]) -> set[str]:
    """The ids of those accounts that a lock concerns."""
    canonical = {account.id: services.addresses.canonical(account.email) for account in accounts}
    return services.lockout.locked_among({user_id: email for user_id, email in canonical.items() if email})


def _locked_ids(services: Services) -> list[str]:
    """The ids of locked accounts, out of the latest events that report a lock. None without counters."""
    policy = services.config.lockout
    longest = (policy.max_duration or policy.duration).total_seconds()
    since = None if policy.permanent_after else datetime.fromtimestamp(time.time() - longest, UTC)
    events = services.audit.events(event=LOCKED.name, since=since, limit=_MOST_LOCKS)
    found = {event.user_id: services.users.get(event.user_id) for event in events if event.user_id}
    with suppress(StoreUnavailable):
        return list(_locked_among(services, [account for account in found.values() if account is not None]))
    return []
