"""The requirements in the order in which a user meets them. A feature adds its line here."""

from __future__ import annotations

from nipo_auth_mw._flows.password_change import PASSWORD_CHANGE
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._flows.two_step import SECOND_STEP
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import AccountState, User
from nipo_auth_mw.protocols import Account

REQUIREMENTS = (PASSWORD_CHANGE, SECOND_STEP)


def first_unmet(account: Account | User, state: AccountState, config: AuthConfig) -> Requirement | None:
    """The first requirement that the account has not met, or None.

    Until it is met the host app sees no user, and a path that requires a session leads to the requirement's page.
    """
    for requirement in REQUIREMENTS:
        if requirement.is_pending(account, state, config):
            return requirement
    return None
