"""Everything that a flow needs, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from nipo_auth_mw._audit.log import EventLog
from nipo_auth_mw._audit.seals import Seals
from nipo_auth_mw._credentials.cancel_links import CancelLinks
from nipo_auth_mw._credentials.email_links import EmailLinks
from nipo_auth_mw._credentials.factors import Factors
from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw._credentials.passkeys import Passkeys
from nipo_auth_mw._credentials.policy import PasswordRules
from nipo_auth_mw._mail.addresses import Addresses
from nipo_auth_mw._mail.notifications import Notifications
from nipo_auth_mw._mail.outbox import Outbox
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw._sessions.known_devices import KnownDevices
from nipo_auth_mw._sessions.sessions import Sessions
from nipo_auth_mw._throttle.client_limit import ClientLimit
from nipo_auth_mw._throttle.lockout import Lockout
from nipo_auth_mw._throttle.one_time_forms import OneTimeForms
from nipo_auth_mw._throttle.quotas import Quotas
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.protocols import (
    AccountFactorStore,
    AccountStateStore,
    AuditLog,
    BatchCounters,
    EmailChangeStore,
    EmailStore,
    JoinedStaffDirectory,
    JoinedUserStore,
    SessionStore,
    StaffDirectory,
    UsageStore,
    UserStore,
)


@dataclass(frozen=True, slots=True, repr=False)
class Services:
    """The objects that flows work with.

    `joined_users`, `directory`, `staff_lists`, `email_store`, `email_changes`, `usage`, `factor_store` and
    `factors` are None if the store lacks the capability; `factors` also without the extra `two-step`, and
    `passkeys` also where the settings allow none.
    """

    config: AuthConfig
    addresses: Addresses
    users: UserStore
    joined_users: JoinedUserStore | None
    directory: StaffDirectory | None
    staff_lists: JoinedStaffDirectory | None
    email_store: EmailStore | None
    email_changes: EmailChangeStore | None
    usage: UsageStore | None
    factor_store: AccountFactorStore | None
    factors: Factors | None
    passkeys: Passkeys | None
    session_store: SessionStore
    account_states: AccountStateStore
    audit: AuditLog
    sessions: Sessions
    known_devices: KnownDevices
    counters: BatchCounters
    lockout: Lockout
    second_lockout: Lockout
    client_limit: ClientLimit
    quotas: Quotas
    one_time_forms: OneTimeForms
    hashing: PasswordHashing
    password_rules: PasswordRules
    reset_links: EmailLinks
    email_links: EmailLinks
    invitation_links: EmailLinks
    cancel_links: CancelLinks
    second_links: EmailLinks
    notifications: Notifications
    outbox: Outbox
    log: EventLog
    seals: Seals
    worker: Worker
