"""`DjangoUsers` keeps the contract of a user store. `test_django_users.py` runs this in a process of its own, since
Django has one configuration a process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import django
import pytest
import sqlalchemy as sa
from django.conf import settings

URL = sa.make_url(os.environ.get("NIPO_TEST_DJANGO", f"sqlite:///{tempfile.mkdtemp()}/site.db"))
ENGINES = {"sqlite": "sqlite3", "postgresql": "postgresql"}
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": f"django.db.backends.{ENGINES[URL.get_backend_name()]}",
            "NAME": URL.database,
            "USER": URL.username or "",
            "HOST": URL.host or "",
            "PORT": URL.port or "",
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from nipo_auth_mw.models import Account  # noqa: E402
from nipo_auth_mw.stores import DjangoUsers  # noqa: E402
from nipo_auth_mw.testing.contracts.accounts import HASH, SUZUKI, TANAKA  # noqa: E402
from tests.contract.own_tables import OwnTableContract  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _tables() -> None:
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True, params=[0, 60], ids=lambda seconds: f"CONN_MAX_AGE={seconds}")
def _emptied(_tables: None, request: Any) -> Iterator[None]:
    get_user_model().objects.all().delete()
    connection.close()
    # Each thread's connection has this one dict.
    connection.settings_dict["CONN_MAX_AGE"] = request.param
    yield
    connection.close()


class TestDjangoUsers(OwnTableContract):
    def make_store(self) -> DjangoUsers:
        return DjangoUsers()

    def add_account(self, store: Any, email: str, password_hash: str | None, active: bool = True) -> str:
        name = f"user{get_user_model().objects.count()}"
        user = get_user_model()(username=name, email=email, password=password_hash or "", is_active=active)
        user.save()
        return str(user.pk)

    def test_of_several_simultaneous_replacements_of_a_hash_one_succeeds(self, store: Any) -> None:
        replace = store.set_password_hash

        def replacing(*given: Any, **named: Any) -> Any:
            # The thread ends, and no one else closes what it keeps.
            try:
                return replace(*given, **named)
            finally:
                connection.close()

        store.set_password_hash = replacing
        super().test_of_several_simultaneous_replacements_of_a_hash_one_succeeds(store)

    def test_a_user_name_is_searched_too(self, store: Any) -> None:
        for number in range(5):
            self.add_account(store, f"person{number}@example.com", HASH)
        assert [one.email for one in store.search("USER4", after=None, limit=9)] == ["person4@example.com"]

    def test_a_superuser_is_an_administrator_and_the_name_is_the_full_one(self, store: Any) -> None:
        user = get_user_model().objects.create_superuser("boss", TANAKA, first_name="花子", last_name="田中")
        other = get_user_model().objects.create_user("staff", SUZUKI)
        assert store.get(str(user.pk)) == Account(str(user.pk), TANAKA, user.password, True, "花子 田中", "admin")
        assert store.get(str(other.pk)).role == "staff"

    def test_a_function_of_the_site_makes_the_account(self) -> None:
        store = DjangoUsers(lambda user: Account(str(user.pk), user.email, user.password, role="leader"))
        assert store.get(self.add_account(store, TANAKA, HASH)).role == "leader"

    if connection.vendor != "sqlite":  # A file does not break off.

        def test_a_broken_connection_is_replaced_at_the_next_call(self, store: Any) -> None:
            user_id = self.add_account(store, TANAKA, make_password("x" * 12))
            connection.ensure_connection()
            # As after a restart of the database, or a firewall that forgot an idle connection.
            connection.connection.close()
            with pytest.raises(Exception, match="clos"):
                store.get(user_id)
            assert store.get(user_id).email == TANAKA

    def test_the_connection_is_kept_as_long_as_the_site_says(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        connection.close()
        store.get(user_id)
        kept = bool(connection.settings_dict["CONN_MAX_AGE"])
        assert (connection.connection is not None) is kept
        connection.ensure_connection()
        own = connection.connection
        store.get(user_id)
        assert connection.connection is own, "a view reads from it"

    def test_the_transaction_of_a_view_goes_on(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            get_user_model().objects.update(first_name="half done")
            assert store.set_password_hash(user_id, "new", expected=HASH)
            _ = 1 // 0
        assert store.get(user_id) == Account(user_id, TANAKA, HASH, True, "", "staff")
