"""The exceptions of the package.

A developer sees `ConfigError` at start. A script that calls `auth.accounts` sees an `AccountError`. An outage raises
`StoreUnavailable` or `MailerError`. Expected outcomes of a sign-in are values, never exceptions.
"""

from __future__ import annotations

_ADDRESSES = {
    "no_address": ", write one such as name@example.com",
    "not_ascii": ", letters before the @ have to be of ASCII",
    "bad_domain": ", no mail server can have this domain",
    "bad_character": ", a character in it is no part of an address",
}
_PASSWORDS = {
    "guessable": ", a program would guess it soon: take some words more",
    "unchanged": ", it is the present one",
    "not_text": ", it has characters that cannot be written",
}


class AuthError(Exception):
    """The base class of every exception that this package raises on purpose."""


class ConfigError(AuthError):
    """A set-up that cannot work or would not be safe.

    `field` is the setting or argument, `problem` says why it is refused, and `hint` says what to do about it. The
    message holds all three, and never a secret.
    """

    def __init__(self, field: str, problem: str, hint: str) -> None:
        super().__init__(f"{field}: {problem}. {hint}")
        self.field = field
        self.problem = problem
        self.hint = hint


class StoreUnavailable(AuthError):
    """A store or the attempt counters cannot be reached.

    The middleware fails closed: it answers 503, checks no password and shows the host app no user.
    """


class HashingFailed(AuthError):
    """The password hasher failed, such as by lack of memory: a password was neither checked nor set.

    The middleware answers 503 and counts no wrong password. The message names the type of the failure alone.
    """


class DatabaseUnavailable(StoreUnavailable):
    """The database of an `SQLStore`, or the server of the attempt counters, cannot be used.

    The message names the database, the code of the error and a hint, and quotes neither a row nor a password: logs may
    show it. The messages of other stores are not shown.
    """


class MailerError(AuthError):
    """The mailer could not hand over a mail. The message quotes nothing of the mail.

    `permanent`: the mail was refused for good. `unconfirmed`: the whole mail was sent and the answer was lost, so it
    may have been delivered. The outbox sends neither again, and tries again later after any other error.
    """

    def __init__(self, problem: str, *, permanent: bool = False, unconfirmed: bool = False) -> None:
        super().__init__(problem)
        self.permanent = permanent
        self.unconfirmed = unconfirmed


class AccountError(AuthError):
    """A refusal by `auth.accounts`. `code` is stable, and JSON answers carry it."""

    code = "account_error"


class NoSuchAccount(AccountError):
    """No account has this id."""

    code = "no_such_account"

    @classmethod
    def of(cls, user_id: object) -> NoSuchAccount:
        """The error for this id, in words for a caller who has an address, a number or a `User` instead."""
        if not isinstance(user_id, str):
            return cls(f"an id is a text, such as user.id, and not of {type(user_id).__name__}")
        hint = "; find(address).id is that of an address" if "@" in user_id else ""
        return cls(f"no account has the id {user_id!r}{hint}")


class EmailTaken(AccountError):
    """Another account already signs in with this address."""

    code = "email_taken"


class EmailRejected(AccountError):
    """The text is not an address that an account may have. `reason` is a stable word, such as `too_long`."""

    code = "email_rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not an acceptable email address ({reason}{_ADDRESSES.get(reason, '')})")
        self.reason = reason


class PasswordRejected(AccountError):
    """The password may not be set.

    `reason` is `too_short`, `too_long`, `guessable`, `unchanged` or `not_text`. `advice` says how to choose a better
    one. `limit` is the number of characters that a password of another length is measured by.
    """

    code = "password_rejected"

    def __init__(self, reason: str, advice: tuple[str, ...] = (), *, limit: int | None = None) -> None:
        measure = "" if limit is None else f", the limit is {limit} characters"
        super().__init__(f"not an acceptable password ({reason}{measure}{_PASSWORDS.get(reason, '')})")
        self.reason = reason
        self.advice = advice
        self.limit = limit


class HashRejected(AuthError):
    """The text is no password hash that an account may have. The message never quotes it.

    `kind` names the system that made it, as far as its beginning tells. `reason` is `unknown_kind`, `broken`,
    `too_costly` (more work than a sign-in may take) or `library_missing`. `hint` says what to do about it.
    """

    def __init__(self, kind: str, reason: str, hint: str = "") -> None:
        super().__init__(f"not an acceptable password hash: {kind} ({reason}){'. ' if hint else ''}{hint}")
        self.kind = kind
        self.reason = reason
        self.hint = hint


class UnknownRole(AccountError):
    """The setting `roles` does not list this role."""

    code = "unknown_role"


class NotAllowed(AccountError):
    """The administrator has lost the role, or the session has ended, since the request began."""

    code = "not_allowed"


class NotOneself(AccountError):
    """Administrators may not do this to their own account."""

    code = "not_oneself"


class LastAdmin(AccountError):
    """The action would leave no active administrator."""

    code = "last_admin"


class NotSupported(AccountError):
    """The user store behind `auth.accounts` lacks the capability that this call needs."""

    code = "not_supported"
