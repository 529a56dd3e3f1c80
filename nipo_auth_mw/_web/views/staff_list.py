"""The list of accounts on the staff pages."""

from __future__ import annotations

from datetime import datetime

from werkzeug.wrappers import Response

from nipo_auth_mw._flows import staff_export, staff_list, staff_undo, staff_words
from nipo_auth_mw._flows.staff_actor import administrators
from nipo_auth_mw._flows.staff_list import FILTERS, Listing, ListRequest
from nipo_auth_mw._flows.staff_rows import cells_of
from nipo_auth_mw._web.audit_csv import csv_file
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import RowData, row_data
from nipo_auth_mw._web.views import staff
from nipo_auth_mw.errors import NoSuchAccount
from nipo_auth_mw.models import StaffSort

PLACE = ("q", "show", "sort", "after")
"""The query of a page of the list. Its forms send it back, so that the administrator returns to the same page."""
_COLUMNS = (StaffSort.NAME, StaffSort.EMAIL, StaffSort.ROLE, StaffSort.LAST_USED, StaffSort.ACTIVE)


@takes(*PLACE, gives={"users": list[RowData], "after": str | None, "count": int | None})
def show_list(web: WebContext, request: Request) -> Response:
    """Show one page of the accounts that match the search and the filter."""
    query = request.query
    shown, sorted_by, after = (query.get(name, "") for name in ("show", "sort", "after"))
    wanted = ListRequest(query.get("q", "").strip()[:254], shown, sorted_by, after)
    found = staff_list.listed(web.services, wanted)
    if request.wants_json:
        users = [row_data(row) for row in found.rows]
        return web.answers.data({"users": users, "after": found.after, "count": found.total})
    actor = staff.actor(request)
    gone = query.get("deleted", "")
    sort, descending = wanted.order
    return web.answers.page(
        request,
        "staff.html",
        rows=found.rows,
        listing=found,
        # A link to a page of the list begins with these.
        place={"q": wanted.text, "show": _known(wanted.show), "sort": _sort(sort, descending)},
        after=wanted.after,
        filters=staff_list.filters_of(web.services),
        two_step=web.services.factors is not None,
        columns=_columns(sort, descending) if web.services.staff_lists else {},
        changed=_changed(web, query.get("changed", ""), found),
        deleted=staff_undo.deleted(web.services, gone, actor=actor) if gone else None,
        only_admin=administrators(web.services) == [actor.name],
        self_id=actor.name,
    )


def download(web: WebContext, request: Request) -> Response:
    """Send every account as CSV for a spreadsheet, with the columns that an import reads."""
    catalogues, language = web.pages.catalogues, request.language
    headings = staff_words.headings_in(catalogues, language)
    shown = staff_words.words_shown(catalogues, web.config, language)
    rows = staff_export.export(web.services, actor=staff.actor(request))
    lines = (cells_of(row, staff_words.COLUMNS, shown) for row in rows)
    what, day = web.pages.text(language, "staff.csv_name"), datetime.now(web.config.zone).date()
    name = f"{what}_{day.isoformat()}.csv"
    return web.answers.download(csv_file(list(headings.values()), lines), "text/csv; charset=utf-8", name)


def _known(show: str) -> str:
    """The filter, "" for all accounts."""
    return show if show in FILTERS and show != staff_list.ALL else ""


def _sort(sort: StaffSort, descending: bool) -> str:
    """The order as the query has it, "" for the usual one."""
    name = f"-{sort}" if descending else str(sort)
    return "" if name == StaffSort.NAME else name


def _columns(sort: StaffSort, descending: bool) -> dict[str, tuple[str, str]]:
    """Of each column the order that its heading leads to, and `aria-sort`. The latest use comes first."""
    found = {}
    for column in _COLUMNS:
        here = column is sort
        reverse = not descending if here else column is StaffSort.LAST_USED
        now = ("descending" if descending else "ascending") if here else ""
        found[str(column)] = (_sort(column, reverse) or str(column), now)
    return found


def _changed(web: WebContext, user_id: str, found: Listing) -> staff_list.Row | None:
    """The account that was just changed, as it is now."""
    if not user_id:
        return None
    try:
        shown = (row for row in found.rows if row.user.id == user_id)
        return next(shown, None) or staff_list.row(web.services, user_id)
    except NoSuchAccount:
        return None
