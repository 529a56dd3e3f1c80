"""The list of accounts on the staff pages."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from nipo_auth_mw.models import StaffPage, StaffQuery


@runtime_checkable
class JoinedStaffDirectory(Protocol):
    """Optional: one object is the user store, the session store and the store of account states, and lists accounts
    with what all three know. Without it the staff list is in the order of `StaffDirectory.search`, and has neither
    filters nor numbers."""

    def staff_page(self, query: StaffQuery) -> StaffPage:
        """One page of the accounts that `query` selects, in its order, and their number.

        A search finds the attribute `reading` of the account's state as well. Equal accounts are in the order of
        `StaffSort.NAME`, those with equal names in the order of their creation.
        """
