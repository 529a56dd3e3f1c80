"""The requirements that a signed-in user has to meet before anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import AccountState, User
from nipo_auth_mw.protocols import Account


class Requirement(NamedTuple):
    """One requirement, such as the change of a temporary password.

    `route` is the page that satisfies it, and `code` the code of the refusal until then. `is_pending` judges by the
    account, its state and the settings, which each request has at hand, so it costs no statement.
    """

    code: str
    route: str
    is_pending: Callable[[Account | User, AccountState, AuthConfig], bool]
