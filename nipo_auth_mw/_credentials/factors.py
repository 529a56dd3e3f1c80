"""The proofs of an account's second step: its authenticator app, its passkeys, its backup codes.

Each row has a keyed digest over all its values, which every read verifies: a row that was planted, changed or moved to
another account with SQL proves nothing. Digests and keys have no realm, since the realms of one store share accounts.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.backup_codes import BackupCodes, new_codes
from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw._credentials.sealing import Sealing
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.protocols import AccountFactorStore, Factor

APP, PASSKEY = "app", "passkey"
SETUP_LASTS = timedelta(minutes=15)
MOST_PASSKEYS = 20
_CLOCK_TOLERANCE = 300


class Setup(NamedTuple):
    """An app that is being set up. `sealed` travels in the form, so nothing is stored before its code is confirmed."""

    secret: bytes
    sealed: str

    def __repr__(self) -> str:
        return "Setup()"


class NewCodes(NamedTuple):
    """A set of backup codes that is not stored yet: the texts to show once, and the digests to store."""

    texts: list[str]
    digests: list[str]

    def __repr__(self) -> str:
        return f"NewCodes({len(self.texts)} codes)"


class RightCode(NamedTuple):
    """A right code of an app that is not accepted yet: the app as it was read, and as the acceptance leaves it."""

    before: Factor
    after: Factor


class Factors:
    """Keeps and checks the factors of accounts. Flows ask it, and never the store.

    Every method raises `StoreUnavailable` during an outage.
    """

    def __init__(self, store: AccountFactorStore, secret_keys: Sequence[str], hashing: PasswordHashing) -> None:
        self._store = store
        self._sealing = Sealing(secret_keys, "factor")
        self._setups = Sealing(secret_keys, "app setup")
        self._rows = KeyedDigests(secret_keys, "factor row")
        self._codes = BackupCodes(hashing, KeyedDigests(secret_keys, "backup code"))

    # All factors

    def of(self, user_id: str) -> list[Factor]:
        """The intact factors of an account, the oldest first."""
        return [factor for factor in self._store.factors_of(user_id) if self._intact(factor, user_id)]

    def tampered(self, user_id: str) -> list[Factor]:
        """The rows of an account that were not written with one of our keys, or were changed since.

        A flow asks after a refusal, to record the reason.
        """
        return [factor for factor in self._store.factors_of(user_id) if not self._intact(factor, user_id)]

    def find(self, key: str, user_id: str = "") -> Factor | None:
        """The intact factor with this key, of this account or of any."""
        factor = self._store.find_factor(key)
        return factor if factor and self._intact(factor, user_id or factor.user_id) else None

    def find_tampered(self, key: str) -> Factor | None:
        """The row with this key, if it was not written with one of our keys, or was changed since."""
        factor = self._store.find_factor(key)
        return factor if factor and not self._intact(factor, factor.user_id) else None

    def rename(self, user_id: str, key: str, name: str) -> Factor | None:
        """Give a factor another name. None if the account has no such factor, or another request changes it."""
        factor = self.find(key, user_id)
        return factor and self._change(factor, name=name)

    def remove(self, user_id: str, key: str) -> Factor | None:
        """Remove a factor and return it; None if the account has no such factor."""
        return self._store.remove_factor(key, user_id)

    def remove_all(self, user_id: str) -> None:
        """Remove all factors and backup codes of an account."""
        self._store.remove_factors(user_id)

    # A change of the secret key

    def renew(self, user_id: str) -> None:
        """Sign and seal the account's factors anew, with the newest key. Backup codes stay as they are, since the store
        has only their digests."""
        for factor in self.of(user_id):
            if self._of_older_key(factor):
                self._change(factor, data=self._sealed_anew(factor))

    def need_older_keys(self, user_id: str) -> bool:
        """Whether a factor of the account would end with the older secret keys."""
        return any(self._of_older_key(factor) for factor in self.of(user_id))

    def codes_end(self, user_id: str) -> Literal["", "soon", "ended"]:
        """Whether the account's backup codes end with an older secret key: soon, or already, since the key is gone. ""
        for codes of the newest key, and for none."""
        stored = self._store.backup_codes(user_id)
        if self._codes.of_older_keys(stored):
            return "soon"
        return "ended" if stored and not self._codes.valid(stored) else ""

    # The authenticator app

    def setup(self, user_id: str, revocations: int) -> Setup:
        """A new secret for an app of this account, and the text that brings it back with the code.

        `revocations` is the account's revocation counter, which every change of its proofs raises, except a further
        proof. The text is bound to it, and to whether the account has an app. So it is void once its app is stored: the
        secret is never shown again, and none of its codes works twice (ASVS 5 6.5.1).
        """
        secret = totp.new_secret()
        plain = struct.pack(">Q", int(time.time())) + secret
        return Setup(secret, self._setups.seal(plain, *self._when_made(user_id, revocations)))

    def secret_in(self, sealed: str, user_id: str, revocations: int) -> bytes | None:
        """The secret that `setup` made for this account within the last 15 minutes, if the account is as it was
        then; else None."""
        plain = self._setups.open(sealed, *self._when_made(user_id, revocations))
        if plain is None:
            return None
        age = time.time() - struct.unpack_from(">Q", plain)[0]
        return plain[8:] if -_CLOCK_TOLERANCE <= age < SETUP_LASTS.total_seconds() else None

    def add_app(self, user_id: str, secret: bytes, step: int, *, replace: bool = False) -> Factor | None:
        """Store the app whose code of this step number was confirmed. That code is not accepted again.

        With `replace` it takes the place of the account's app, and the caller holds a transaction. None if the account
        has an app.
        """
        key = f"{APP}:{user_id}"
        if replace:
            self._store.remove_factor(key, user_id)
        return self._add(key, user_id, APP, "", self._sealing.seal(secret, key, user_id), step)

    def check_code(self, user_id: str, text: str, now: float) -> RightCode | None:
        """What `accept_code` accepts, if the code is right at `now`; else None. Changes nothing.

        A secret that was sealed with an older key is sealed again with the newest.
        """
        factor = self.find(f"{APP}:{user_id}", user_id)
        secret = factor and self._sealing.open(factor.data, factor.key, factor.user_id)
        if factor is None or secret is None:
            return None
        step = totp.step_of(secret, text, now=now, after=factor.counter)
        if step is None:
            return None
        used = factor._replace(counter=step, used_at=now, data=self._sealed_anew(factor))
        return RightCode(factor, self._signed(used))

    def accept_code(self, user_id: str, text: str, now: float, checked: RightCode | None = None) -> Factor | None:
        """The account's app if the code is right at `now`; else None. Each code is accepted once.

        Of several callers with one code exactly one gets the app. `checked` is what `check_code` gave. The row is read
        again if it changed in between, since `renew` changes it too.
        """
        for _ in range(2):
            right = checked or self.check_code(user_id, text, now)
            if right is None:
                return None
            if self._store.update_factor(right.after, expected=right.before.digest):
                return right.after
            checked = None
        return None

    # Backup codes

    def new_codes(self, user_id: str) -> NewCodes:
        """A new set of backup codes for this account, which `store_codes` stores.

        Takes ten hashes, so the caller holds no transaction. Raises `Busy` and `HashingFailed`.
        """
        texts = new_codes()
        return NewCodes(texts, self._codes.hashes(texts, user_id))

    def store_codes(self, user_id: str, codes: NewCodes) -> None:
        """Store a set in place of the account's present one."""
        self._store.replace_backup_codes(user_id, codes.digests)

    def make_codes(self, user_id: str) -> list[str]:
        """Make and store a new set, and return the texts. The caller holds no transaction."""
        codes = self.new_codes(user_id)
        self.store_codes(user_id, codes)
        return codes.texts

    def codes_left(self, user_id: str) -> int:
        """How many backup codes of the account are unused; those of a secret key that is gone do not count."""
        return len(self._codes.valid(self._store.backup_codes(user_id)))

    def find_code(self, user_id: str, text: str) -> str | None:
        """What `spend_code` spends, if the text is an unused backup code of the account; else None. Changes nothing.

        Takes one hash for a text of a code's form, and none for any other, so the caller holds no transaction. Raises
        `Busy` and `HashingFailed`.
        """
        return self._codes.find(self._store.backup_codes(user_id), text, user_id)

    def spend_code(self, user_id: str, digest: str) -> bool:
        """Spend the backup code that `find_code` found. Of several callers with one code exactly one gets True."""
        return self._store.spend_backup_code(user_id, digest)

    # Passkeys, which `passkeys` verifies

    def add_passkey(
        self, user_id: str, key: str, *, name: str, data: str, counter: int
    ) -> Factor | Literal["passkey_known", "too_many_factors"]:
        """Store a passkey. `passkey_known` if its id is stored for this or another account, `too_many_factors` if the
        account has twenty."""
        passkeys = [factor for factor in self._store.factors_of(user_id) if factor.kind == PASSKEY]
        if len(passkeys) >= MOST_PASSKEYS:
            return "too_many_factors"
        return self._add(key, user_id, PASSKEY, name, data, counter) or "passkey_known"

    def use_passkey(self, factor: Factor, *, counter: int, now: float, data: str | None = None) -> Factor | None:
        """Note the use of a passkey. None if another request has changed it since it was read."""
        return self._change(factor, counter=counter, used_at=now, data=factor.data if data is None else data)

    def _when_made(self, user_id: str, revocations: int) -> tuple[str, ...]:
        """What the set-up of an app is bound to."""
        return user_id, str(revocations), APP if self._store.find_factor(f"{APP}:{user_id}") else ""

    def _add(self, key: str, user_id: str, kind: str, name: str, data: str, counter: int) -> Factor | None:
        factor = self._signed(Factor(key, user_id, kind, name, data, counter, round(time.time(), 3), 0.0, ""))
        return factor if self._store.add_factor(factor) else None

    def _change(self, factor: Factor, **values: Any) -> Factor | None:
        """Replace values of a factor if the store has it as it was read."""
        new = self._signed(factor._replace(**values))
        return new if self._store.update_factor(new, expected=factor.digest) else None

    def _sealed_anew(self, factor: Factor) -> str:
        """The data of the factor; an app's secret is sealed with the newest key."""
        if factor.kind != APP or not self._sealing.outdated(factor.data):
            return factor.data
        secret = self._sealing.open(factor.data, factor.key, factor.user_id)
        return factor.data if secret is None else self._sealing.seal(secret, factor.key, factor.user_id)

    def _of_older_key(self, factor: Factor) -> bool:
        return self._rows.key_of(factor.digest, *_facts(factor)) != 0

    def _signed(self, factor: Factor) -> Factor:
        return factor._replace(digest=self._rows.digest(*_facts(factor)))

    def _intact(self, factor: Factor, user_id: str) -> bool:
        """Whether one of our keys signed the row as it is, for this account. Never raises: SQLite keeps any value in
        any column."""
        try:
            return factor.user_id == user_id and self._rows.matches(factor.digest, *_facts(factor))
        except (TypeError, ValueError, OverflowError):
            return False


def _facts(factor: Factor) -> tuple[object, ...]:
    """Everything in a row except its digest, the same before writing it and after reading it from any database."""
    times = (round(factor.created_at * 1000), round(factor.used_at * 1000))
    return *factor[:5], int(factor.counter), *times
