"""What the apps of this folder share: a browser that is signed in, and the blocks of the guide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from webtest import TestApp

from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.testing import in_memory, sign_in_as

MEMBER, ADMINISTRATOR = "yamada@example.com", "kanri@example.com"


def behind(app: Any, **settings: Any) -> AuthMiddleware:
    """The app behind the middleware, with the addresses of its users as their names."""
    return AuthMiddleware(app, **in_memory(remote_user="email", **settings))


def browser(auth: AuthMiddleware, email: str = "", role: str = "staff") -> TestApp:
    """A browser that is signed in with this address. Without one it is a visitor's, whose REMOTE_USER was forged."""
    made = TestApp(auth, extra_environ={"HTTP_ACCEPT": "text/html", "REMOTE_USER": ADMINISTRATOR})
    if email:
        sign_in_as(auth, made, email, role=role)
    return made


def block_of_the_guide(begins: str) -> str:
    """The block of docs/guides/frameworks.md that begins with this comment."""
    text = (Path(__file__).parents[3] / "docs" / "guides" / "frameworks.md").read_text("utf-8")
    (found,) = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if one.startswith(f"# {begins}\n")]
    return str(found)


def refusals(auth: AuthMiddleware) -> None:
    """Print how the app answers a visitor, a member and an administrator."""
    for who, made in (
        ("visitor", browser(auth)),
        ("member", browser(auth, MEMBER)),
        ("administrator", browser(auth, ADMINISTRATOR, "admin")),
    ):
        pages = ("/mine", "/salaries", "/broken")
        print(who, *(made.get(page, expect_errors=True).status_int for page in pages))
