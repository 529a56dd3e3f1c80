"""Builds `Services` from the settings and the collaborators, once for each middleware."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, TypeVar

from nipo_auth_mw._audit.log import EventLog
from nipo_auth_mw._audit.seals import Seals
from nipo_auth_mw._capabilities import members_of, offers
from nipo_auth_mw._credentials.cancel_links import CancelLinks
from nipo_auth_mw._credentials.email_links import EMAIL_LASTS, RESET_LASTS, SECOND_LASTS, EmailLinks
from nipo_auth_mw._credentials.factors import Factors
from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw._credentials.passkeys import Passkeys, rp_id_of
from nipo_auth_mw._credentials.policy import PasswordRules
from nipo_auth_mw._credentials.security_stamp import SecurityStamps
from nipo_auth_mw._credentials.tokens import KeyedDigests, SignedTokens
from nipo_auth_mw._mail.addresses import Addresses
from nipo_auth_mw._mail.composer import Composer
from nipo_auth_mw._mail.notifications import Notifications
from nipo_auth_mw._mail.outbox import Outbox
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._runtime.commands import only_administers
from nipo_auth_mw._runtime.periodic import PeriodicJob
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.endings import Endings
from nipo_auth_mw._sessions.known_devices import KnownDevices
from nipo_auth_mw._sessions.sessions import Sessions
from nipo_auth_mw._throttle.client_limit import ClientLimit
from nipo_auth_mw._throttle.counters import CounterNames, open_counters
from nipo_auth_mw._throttle.lockout import Lockout
from nipo_auth_mw._throttle.one_time_forms import OneTimeForms
from nipo_auth_mw._throttle.quotas import Quotas
from nipo_auth_mw.config import AuthConfig, LockoutPolicy
from nipo_auth_mw.errors import ConfigError, DatabaseUnavailable, StoreUnavailable
from nipo_auth_mw.mailers._console import ConsoleMailer
from nipo_auth_mw.protocols import (
    AccountFactorStore,
    AccountStateStore,
    AuditLog,
    Counters,
    EmailChangeStore,
    EmailStore,
    JoinedStaffDirectory,
    JoinedUserStore,
    LegacyHasher,
    Listener,
    Mailer,
    OutboxStore,
    PasswordHasher,
    SecondStepSessions,
    SessionStore,
    StaffDirectory,
    UsageStore,
    UserStore,
)
from nipo_auth_mw.stores._memory import MemoryStore
from nipo_auth_mw.stores._own_users import OwnUsers

_log = logging.getLogger("nipo_auth_mw")
T = TypeVar("T")
_SEALS_AFTER = 30.0
_EXTRA = ("cryptography", "fido2")
"""The packages of the extra `two-step`. They are looked for here and imported at their first use."""
_MOST_SECOND_STEPS = 100


def build(
    config: AuthConfig,
    pages: Renderer,
    *,
    store: object | None,
    users: UserStore | None,
    sessions: SessionStore | None,
    audit: AuditLog | None,
    mailer: Mailer | None,
    hasher: PasswordHasher | None,
    legacy_hashers: Sequence[LegacyHasher] = (),
    listeners: Sequence[Listener],
) -> Services:
    """Build all services. Raises `ConfigError` for a collaborator that is missing or lacks a method."""
    given_users = _need(users, store, UserStore, "users")
    session_store = _need(sessions, store, SessionStore, "sessions")
    account_states = _need(sessions, store, AccountStateStore, "sessions")
    both: object = account_states
    joined = both if both is given_users else None
    users = given_users if joined is not None else OwnUsers(given_users)
    audit_log = _need(audit, store, AuditLog, "audit")
    if mailer is not None:
        mailer = _need(mailer, None, Mailer, "mailer")
    if isinstance(mailer, ConsoleMailer) and config.secure:
        raise ConfigError(
            "mailer", "ConsoleMailer would write password links into a log", "Use SMTPMailer, or a mailer of your own."
        )
    for legacy in legacy_hashers:
        _need(legacy, None, LegacyHasher, "legacy_hashers")
    if callable(listeners):
        raise ConfigError("listeners", "is a function", "Give a list of functions: listeners=[...].")
    for listener in listeners:
        if not callable(listener):
            raise ConfigError(
                "listeners", f"{type(listener).__name__} cannot be called", "Give functions that take one event."
            )

    def keyed(purpose: str) -> KeyedDigests:
        return KeyedDigests(config.secrets, purpose, config.realm)

    def signed(purpose: str) -> SignedTokens:
        return SignedTokens(config.secrets, purpose, config.realm)

    counters = open_counters(
        config.lockout, _counters_of(session_store, store), memory_allowed=isinstance(store, MemoryStore)
    )
    names = CounterNames(keyed("counter"))
    # Without the realm, since the realms of one store share the accounts: each would give further guesses.
    first_names, second_names = (
        CounterNames(KeyedDigests(config.secrets, purpose)) for purpose in ("counter", "second counter")
    )
    worker = Worker()
    # Without the realm, since two middlewares may share one audit log.
    row_keys, seal_keys = (KeyedDigests(config.secrets, f"history {what}") for what in ("row", "seal"))
    seals = Seals(audit_log, row_keys, seal_keys, config.audit_retention)
    sealing = PeriodicJob(worker, seals.seal, after=_SEALS_AFTER, every=_SEALS_AFTER)
    then = sealing.trigger if seals.possible else lambda: None
    stamps = SecurityStamps(keyed("session stamp"))

    def links(purpose: str, lasts: timedelta) -> EmailLinks:
        return EmailLinks(signed(purpose), SecurityStamps(keyed(f"{purpose} stamp")), users, account_states, lasts)

    email_changes = session_store if offers(session_store, EmailChangeStore) else None
    reset_links, email_links = links("reset", RESET_LASTS), links("email confirm", EMAIL_LASTS)
    invitation_links = links("invitation", config.invitation_lasts)
    cancel_links = CancelLinks(signed("email cancel"), keyed("email cancel secret"))
    composer = Composer(
        *(config, pages, users, account_states, email_changes),
        reset_links=reset_links,
        email_links=email_links,
        invitation_links=invitation_links,
        cancel_links=cancel_links,
    )
    outbox_store = session_store if offers(session_store, OutboxStore) else None
    outbox = Outbox(mailer, outbox_store, worker, composer.compose, realm=config.realm)
    log = EventLog(audit_log, listeners, [outbox, given_users, session_store], keyed("mask"), seals, then)
    lockout = Lockout(config.lockout, counters, first_names)
    endings = Endings(counters, keyed("session ending"), worker, in_store=lockout.in_store)
    hashing = PasswordHashing(hasher, users, legacy_hashers)
    factors = _factors(config, session_store, hashing)
    return Services(
        config=config,
        addresses=Addresses(config.login_domain),
        users=users,
        joined_users=joined if offers(joined, JoinedUserStore) else None,
        directory=users if offers(users, StaffDirectory) else None,
        staff_lists=joined if offers(joined, JoinedStaffDirectory) else None,
        email_store=users if offers(users, EmailStore) else None,
        email_changes=email_changes,
        usage=session_store if offers(session_store, UsageStore) else None,
        factor_store=session_store if offers(session_store, AccountFactorStore) else None,
        factors=factors,
        passkeys=_passkeys(config, signed("passkey")) if factors else None,
        session_store=session_store,
        account_states=account_states,
        audit=audit_log,
        sessions=Sessions(
            *(config.session, session_store, users, signed("session"), stamps, log, worker, endings, config.zone),
            renew_factors=factors.renew if factors else None,
        ),
        known_devices=KnownDevices(signed("device"), SecurityStamps(keyed("device stamp")), keyed("device mark")),
        counters=counters,
        lockout=lockout,
        second_lockout=Lockout(_second_policy(config.lockout), counters, second_names),
        client_limit=ClientLimit(config.lockout, counters, first_names),
        quotas=Quotas(counters, names),
        one_time_forms=OneTimeForms(counters, names, keyed("form secret")),
        hashing=hashing,
        password_rules=PasswordRules(config.passwords, config.site_name),
        reset_links=reset_links,
        email_links=email_links,
        invitation_links=invitation_links,
        cancel_links=cancel_links,
        second_links=links("second", SECOND_LASTS),
        notifications=Notifications(config, outbox, email_links, invitation_links),
        outbox=outbox,
        log=log,
        seals=seals,
        worker=worker,
    )


def _need(given: object | None, store: object | None, protocol: type[T], field: str) -> T:
    """The collaborator given for `field`, else `store`.

    Raises `ConfigError` if there is neither, or if the object lacks a method of the protocol.
    """
    if isinstance(store, str):
        raise ConfigError("store", "is a string, not a store", 'Write store=SQLStore("…") with it.')
    or_store = "" if store is None and given is not None else ", or a store= that has them"
    given = store if given is None else given
    hint = f"Give {field}={or_store}; nipo_auth_mw.protocols.{protocol.__name__} lists the methods."
    if given is None:
        raise ConfigError(field, "is missing", hint)
    if isinstance(given, type):
        raise ConfigError(field, f"{given.__name__} is a class", f"Give an object of it: {given.__name__}(...).")
    if not offers(given, protocol):
        asked: Any = protocol
        missing = [name for name in members_of(asked) if getattr(given, name, None) is None]
        raise ConfigError(field, f"{type(given).__name__} lacks {', '.join(missing)}", hint)
    return given


def _factors(config: AuthConfig, session_store: SessionStore, hashing: PasswordHashing) -> Factors | None:
    """The factors of the second step; None without the extra, or with a store that keeps none.

    Raises `ConfigError` if a role requires two steps then: it would be let in with one.
    """
    field, required = "two_step.required_for", bool(config.two_step.required_for)
    store: object = session_store
    if not offers(store, SecondStepSessions) or not offers(session_store, AccountFactorStore):
        if required:
            hint = "nipo_auth_mw.protocols.AccountFactorStore and SecondStepSessions list the methods."
            raise ConfigError(field, f"{type(session_store).__name__} keeps no second step", hint)
        return None
    if any(find_spec(name) is None for name in _EXTRA):
        if required:
            raise ConfigError(field, "needs an extra", 'Install it: pip install "nipo_auth_mw[two-step]".')
        return None
    return Factors(session_store, config.secrets, hashing)


def _passkeys(config: AuthConfig, signed: SignedTokens) -> Passkeys | None:
    """The relying party; None if the setting hides passkeys, or if `base_url` has an IP address."""
    rp_id = rp_id_of(config.base_url) if config.two_step.passkeys else None
    return Passkeys(rp_id, config.origin, signed, site_name=config.site_name) if rp_id else None


def _second_policy(policy: LockoutPolicy) -> LockoutPolicy:
    """How wrong second steps are counted: as wrong passwords are, with locks that double, and an end after a hundred
    in a row (NIST SP 800-63B-4 3.2.2). An attacker gets there only with the right password, so it keeps no user out."""
    most = max(policy.duration, timedelta(days=1))
    return replace(policy, max_duration=most, permanent_after=max(_MOST_SECOND_STEPS, policy.failures))


def _counters_of(*stores: object | None) -> Counters | None:
    """The attempt counters of the first store that has some."""
    found = (getattr(store, "counters", None) for store in stores)
    return next((counters for counters in found if offers(counters, Counters)), None)


def check_schema(*stores: Any) -> None:
    """Ask each store once whether its tables exist and have this version.

    Raises `ConfigError` if not. A store that cannot be reached is only logged, since it may come back. So is a store
    without tables under a command that serves no requests: it may be the one that makes them.
    """
    for store in {id(store): store for store in stores if store is not None}.values():
        check = getattr(store, "check", None)
        if check is None:
            continue
        try:
            check()
        except StoreUnavailable as problem:
            _log.warning(
                "at start (process %d): %s; requests with a session get a 503 until it answers",
                os.getpid(),
                problem if isinstance(problem, DatabaseUnavailable) else f"{store!r} cannot be reached",
            )
        except ConfigError as problem:
            if not only_administers():
                raise
            # Without the hint: this command may be the one that it names.
            _log.warning("this command goes on without the tables: %s", f"{problem.field} {problem.problem}")
