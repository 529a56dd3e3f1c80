"""web.py: the block of the guide makes answers of refusals."""

from __future__ import annotations

import sys

import web
import werkzeug.exceptions

from nipo_auth_mw import require_role, require_user
from tests.servers.named_apps.signed_in import behind, block_of_the_guide, refusals


class Mine:
    """For any user."""

    def GET(self) -> str:
        """The address."""
        return require_user(web.ctx.environ).email


class Salaries:
    """For administrators."""

    def GET(self) -> str:
        """The address."""
        return require_role(web.ctx.environ, "admin").email


class Broken:
    """For no one."""

    def GET(self) -> str:
        """Nothing."""
        raise LookupError


app = web.application(("/mine", "Mine", "/salaries", "Salaries", "/broken", "Broken"), globals())
exec(block_of_the_guide("web.py"), {"app": app, "web": web, "werkzeug": werkzeug, "sys": sys})
refusals(behind(app.wsgifunc(), public_paths=["/mine"]))
