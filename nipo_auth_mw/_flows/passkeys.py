"""The passkeys of an account: adding one. `two_step` renames and removes them as any proof."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from nipo_auth_mw._audit.events import Record
from nipo_auth_mw._credentials.factors import MOST_PASSKEYS
from nipo_auth_mw._credentials.passkey_names import cleaned_name, default_name
from nipo_auth_mw._credentials.passkeys import Registered, Rejected
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import first_use, passkeys_of, stored_passkeys
from nipo_auth_mw._flows.proof_changes import Change, Renewed, Unfit, add_further_proof, change_proofs
from nipo_auth_mw._flows.second_check import PASSKEY, factors_of
from nipo_auth_mw._flows.two_step import FACTOR_ADDED
from nipo_auth_mw._pages.user_agents import describe
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import AttributeValue, Client
from nipo_auth_mw.protocols import Account

REJECTED = Refused("passkey_rejected", detail="new")


class Added(NamedTuple):
    """The passkey is stored. `renewed` has the new cookies, if it is the account's first proof."""

    key: str
    name: str
    renewed: Renewed | None


def begin_passkey(services: Services, session: ActiveSession) -> dict[str, Any] | Refused:
    """The options for a new passkey of the user. Nothing is stored yet. Raises `StoreUnavailable`."""
    user, existing = session.user, stored_passkeys(services, session.user.id)
    if len(existing) >= MOST_PASSKEYS:
        return Refused("too_many_factors")
    handle = session.state.passkey_handle or secrets.token_hex(32)
    return passkeys_of(services).creation_options(user.id, handle, user.email, user.name, existing)


def add_passkey(
    services: Services,
    session: ActiveSession,
    credential: str,
    name: str,
    *,
    client: Client,
    device_cookie: str | None,
) -> Added | Refused:
    """Store a new passkey, and tell its owner (NIST SP 800-63B-4 4.1.3).

    The first proof of an account ends its other sessions; a further one ends nothing. Raises `StoreUnavailable` during
    an outage: then nothing has changed.
    """
    made = passkeys_of(services).register(credential, session.user.id)
    if isinstance(made, Rejected):
        return Refused("challenge_expired", detail="new") if made.reason == "expired" else REJECTED
    if not first_use(services, made.nonce, "create"):
        return REJECTED
    called = cleaned_name(name) or default_name(made.aaguid, describe(client.user_agent))

    def write(account: Account, record: Record) -> dict[str, AttributeValue | None]:
        stored = services.account_states.account_state(account.id)
        if stored.passkey_handle not in ("", made.handle):
            # Another page has made the account's first passkey meanwhile: this one has a handle of its own.
            raise Unfit(REJECTED)
        _add(services, account, made, called)
        services.notifications.factor_added(account, stored, client, kind=PASSKEY, name=called)
        record(FACTOR_ADDED, subject=account, client=client, factor=PASSKEY, name=called)
        return {"passkey_handle": made.handle}

    if factors_of(services).of(session.user.id):
        refused = add_further_proof(services, session, Change(write))
        return refused or Added(made.key, called, None)
    proved = [*(one for one in session.stored.means.split(",") if one != PASSKEY), PASSKEY]
    outcome = change_proofs(services, session, Change(write, ",".join(proved)), client, device_cookie)
    return outcome if isinstance(outcome, Refused) else Added(made.key, called, outcome)


def _add(services: Services, account: Account, made: Registered, name: str) -> None:
    """Store the factor. Raises `Unfit`."""
    added = factors_of(services).add_passkey(
        account.id, made.key, name=name, data=made.passkey.packed(), counter=made.counter
    )
    if isinstance(added, str):
        raise Unfit(Refused(added))


def signals(services: Services, session: ActiveSession) -> dict[str, Any] | None:
    """What password managers need to know to hide removed passkeys and to show the account's present name (WebAuthn
    Level 3 section 5.1.10); None where passkeys are not offered. Raises `StoreUnavailable`."""
    if services.passkeys is None:
        return None
    handle, user = session.state.passkey_handle, session.user
    if not handle:
        return {}
    return services.passkeys.signals(handle, user.email, user.name, stored_passkeys(services, user.id))
