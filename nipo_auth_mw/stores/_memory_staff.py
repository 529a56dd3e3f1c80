"""The staff list of the store for tests: accounts are matched, selected and sorted in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nipo_auth_mw.models import Account, AccountState, StaffEntry, StaffPage, StaffQuery, StaffSort
from nipo_auth_mw.stores._folding import READING, folded_values, words_of

_SORT_KEYS: dict[StaffSort, Callable[[StaffEntry], Any]] = {
    StaffSort.NAME: lambda entry: _folded(entry.account, entry.state)["sort_key"],
    StaffSort.EMAIL: lambda entry: entry.account.email,
    StaffSort.ROLE: lambda entry: entry.account.role,
    StaffSort.ACTIVE: lambda entry: entry.account.active,
    StaffSort.LAST_USED: lambda entry: _last_use(entry),
}


def matches(account: Account, state: AccountState, words: Sequence[str]) -> bool:
    """Whether every folded word occurs in the address, the name or the reading."""
    folded = _folded(account, state)
    return all(word in folded["email_folded"] or word in folded["name_folded"] for word in words)


def page_of(entries: Sequence[StaffEntry], query: StaffQuery) -> StaffPage:
    """The page of these accounts that `query` selects."""
    words = words_of(query.text)
    found = [entry for entry in entries if matches(entry.account, entry.state, words) and _selected(entry, query)]
    found.sort(key=lambda entry: (_SORT_KEYS[StaffSort.NAME](entry), int(entry.account.id)))
    found.sort(key=_SORT_KEYS[query.sort], reverse=query.descending)
    start = max(query.offset, 0)
    return StaffPage(found[start : start + max(query.limit, 0)], len(found))


def _folded(account: Account, state: AccountState) -> dict[str, str]:
    return folded_values(account.email, account.name, str(state.attributes.get(READING, "")))


def _last_use(entry: StaffEntry) -> float:
    return max([entry.last_used_at or 0.0, *(session.seen_at for session in entry.sessions)])


def _selected(entry: StaffEntry, query: StaffQuery) -> bool:
    """Whether an account that matches the search matches the rest of the query."""
    return (
        (query.active is None or entry.account.active == query.active)
        and (not query.role or entry.account.role == query.role)
        and (not query.attribute or query.attribute in entry.state.attributes)
        and (not query.lacking or query.lacking not in entry.state.attributes)
        and (query.used is None or bool(_last_use(entry)) == query.used)
        and (query.ids is None or entry.account.id in query.ids)
    )
