"""What `nipo-auth check` finds about two steps."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw._services import Services


def two_step_findings(services: Services) -> Iterator[tuple[str, str, str]]:
    """Whether passkeys can work under `base_url`, and whether an administrator has what the role requires."""
    policy, host = services.config.two_step, urlsplit(services.config.base_url).hostname or ""
    if services.factors is None:
        return
    if policy.passkeys and _is_address(host):
        yield "warning", "two_step.passkeys", f"belong to a host name, and {host} is an address; use localhost"
    holders = getattr(services.directory, "active_with_role", None)
    if ADMIN not in policy.required_for or holders is None:
        return
    admins = list(holders(ADMIN))
    ready = sum(services.account_states.account_state(one).two_step is not None for one in admins)
    if admins and not ready:
        text = "no administrator has two steps yet, so the next sign-in of each begins with setting them up"
        yield "warning", "two_step.required_for", text
    elif admins:
        yield "ok", "two_step.required_for", f"{ready} of {len(admins)} administrators have two steps"


def _is_address(host: str) -> bool:
    """Whether the host is an IP address, which no passkey can belong to (WebAuthn Level 3, 5.1.2)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
