"""The user table of a Django site."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import connections, router
from django.db.models import Q
from django.db.models.functions import Lower

from nipo_auth_mw.models import Account

_ALIKE = 20
_LONGEST_ID = 64
_LARGEST = 2**63 - 1


def account_of(user: Any) -> Account:
    """The account of a Django user: a superuser is an administrator, and every other user has the role `staff`."""
    email = getattr(user, user.get_email_field_name(), None) or ""
    name = getattr(user, "get_full_name", str)()
    role = "admin" if getattr(user, "is_superuser", False) else "staff"
    return Account(str(user.pk), email, user.password or None, user.is_active, name, role)


class DjangoUsers:
    """The accounts in Django's user table, as it is: a `UserStore` with `search` and `hash_unlike`.

        application = protect(get_wsgi_application(), users=DjangoUsers(), legacy_hashers=[legacy.django()])

    It works with each user model that has an address. `account` makes an `Account` of a Django user, for other roles or
    names than those of `account_of`. Letter case in stored addresses does not count: of two that are alike, the one
    that is equal is found, else the one with the lowest id. Django renews its connections to the database at the
    beginning of a request that it sees. The middleware asks before, so each call renews one that is broken or too old.
    """

    def __init__(self, account: Callable[[Any], Account] = account_of) -> None:
        self._account = account

    def get(self, user_id: str) -> Account | None:
        """See `UserStore.get`."""
        with _connected():
            found = self._with_id(user_id).first()
            return self._account(found) if found is not None and str(found.pk) == user_id else None

    def find_by_email(self, email: str) -> Account | None:
        """See `UserStore.find_by_email`."""
        if not email.isprintable():
            return None
        field = get_user_model().get_email_field_name()
        with _connected():
            alike = list(_people().alias(folded=Lower(field)).filter(folded=email).order_by("pk")[:_ALIKE])
            # A database may take two addresses for one that are two (CVE-2019-19844), so Python compares them as well.
            same = [user for user in alike if getattr(user, field).lower() == email]
            found = min(same, key=lambda user: getattr(user, field) != email, default=None)
            return None if found is None else self._account(found)

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """See `UserStore.set_password_hash`. In Django's table an empty text stands for None."""
        if expected is not None and not (expected and expected.isprintable()):
            return False
        own, stored = self._with_id(user_id), expected or ""
        with _connected():
            # MariaDB ignores letter case and blanks at the end where it compares, so Python compares as well.
            exactly = stored in own.values_list("password", flat=True)
            return exactly and own.filter(password=stored).update(password=new) == 1

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """See `StaffDirectory.search`. Reads the address and the user name."""
        if not (text + (after or "")).isprintable():
            return []
        model = get_user_model()
        field = model.get_email_field_name()
        found = Q(**{f"{field}__icontains": text}) | Q(**{f"{model.USERNAME_FIELD}__icontains": text})
        later = Q() if after is None else Q(**{f"{field}__gt": after})
        with _connected():
            return [self._account(user) for user in _people().filter(found, later).order_by(field)[: max(limit, 0)]]

    def hash_unlike(self, beginnings: Sequence[str], *, start: str) -> str | None:
        """See `HashSamples.hash_unlike`."""
        wanted = _people().filter(password__startswith=start).exclude(password="")
        for text in beginnings:
            wanted = wanted.exclude(password__startswith=text)
        with _connected():
            found: str | None = wanted.order_by().values_list("password", flat=True).first()
        return found

    def _with_id(self, user_id: str) -> Any:
        """The users with this id: one or none."""
        key = None
        with suppress(ValidationError, ValueError):
            if len(user_id) <= _LONGEST_ID and user_id.isprintable():
                key = get_user_model()._meta.pk.to_python(user_id)
        if str(key) != user_id or (isinstance(key, int) and abs(key) > _LARGEST):
            return _people().none()
        return _people().filter(pk=key)


def _people() -> Any:
    """All users, in the database that is written: a replica may not know yet that an account is disabled."""
    return get_user_model()._default_manager.using(_database())


def _database() -> str:
    """The name of the database that the users are in."""
    return str(router.db_for_write(get_user_model()))


@contextmanager
def _connected() -> Iterator[None]:
    """Renew the connection of this thread if it is broken or too old, and close what was opened if none is kept."""
    connection = connections[_database()]
    opened = connection.connection is None
    # With a CONN_MAX_AGE of 0 an open connection is that of a request in Django, which closes it.
    if connection.errors_occurred or connection.settings_dict["CONN_MAX_AGE"] != 0:
        renew(connection)
    try:
        yield
    finally:
        if opened:
            renew(connection)


def renew(connection: Any) -> None:
    """Close a connection that is broken or too old, as Django does between two requests. A transaction goes on."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
