"""CherryPy: the block of the guide makes answers of refusals."""

from __future__ import annotations

import sys

import cherrypy
import werkzeug.exceptions

from nipo_auth_mw import require_role, require_user
from tests.servers.named_apps.signed_in import behind, block_of_the_guide, refusals


class Root:
    """Two pages that refuse, and one that fails."""

    @cherrypy.expose
    def mine(self) -> str:
        """For any user."""
        return require_user(cherrypy.request.wsgi_environ).email

    @cherrypy.expose
    def salaries(self) -> str:
        """For administrators."""
        return require_role(cherrypy.request.wsgi_environ, "admin").email

    @cherrypy.expose
    def broken(self) -> str:
        """For no one."""
        raise LookupError


cherrypy.config.update({"environment": "embedded", "log.screen": False})
names = {"cherrypy": cherrypy, "werkzeug": werkzeug, "sys": sys, "Root": Root}
exec(block_of_the_guide("CherryPy"), names)
refusals(behind(names["app"], public_paths=["/mine"]))
