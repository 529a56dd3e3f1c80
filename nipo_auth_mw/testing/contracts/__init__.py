"""Contract suites: a test class inherits a suite and makes the object; pytest tests the object against its protocol.

    class TestOurStaffTable(UserStoreContract):
        def make_store(self):
            return OurStaffTable(fresh_database())

        def add_account(self, store, email, password_hash, active=True):
            return store.insert(email, password_hash, active)

The object must be empty for each test. Instead of `make_store` a class may override the fixture `store` (`mailer`,
`counters`), which can request other fixtures. For readable failures, put
`pytest.register_assert_rewrite("nipo_auth_mw.testing.contracts")` into conftest.py, before the first import of this
module.
"""

from nipo_auth_mw.testing.contracts.account_states import AccountStateStoreContract
from nipo_auth_mw.testing.contracts.accounts import EmailStoreContract, StaffDirectoryContract, UserStoreContract
from nipo_auth_mw.testing.contracts.audit import AuditLogContract, SealableLogContract
from nipo_auth_mw.testing.contracts.counters import CounterClockContract, CounterContract
from nipo_auth_mw.testing.contracts.email_changes import EmailChangeStoreContract
from nipo_auth_mw.testing.contracts.factors import AccountFactorStoreContract, SecondStepSessionsContract
from nipo_auth_mw.testing.contracts.mailers import MailerContract
from nipo_auth_mw.testing.contracts.outbox import OutboxStoreContract
from nipo_auth_mw.testing.contracts.sessions import (
    JoinedSessionStoreContract,
    RestampableSessionsContract,
    SessionStoreContract,
)
from nipo_auth_mw.testing.contracts.staff_lists import JoinedStaffDirectoryContract
from nipo_auth_mw.testing.contracts.transactions import TransactionalContract
from nipo_auth_mw.testing.contracts.usage import UsageStoreContract

__all__ = [
    "AccountFactorStoreContract",
    "AccountStateStoreContract",
    "AuditLogContract",
    "CounterClockContract",
    "CounterContract",
    "EmailChangeStoreContract",
    "EmailStoreContract",
    "JoinedSessionStoreContract",
    "JoinedStaffDirectoryContract",
    "MailerContract",
    "OutboxStoreContract",
    "RestampableSessionsContract",
    "SealableLogContract",
    "SecondStepSessionsContract",
    "SessionStoreContract",
    "StaffDirectoryContract",
    "TransactionalContract",
    "UsageStoreContract",
    "UserStoreContract",
]
