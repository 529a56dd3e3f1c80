"""Trac: the address is the name, and `trac-admin … permission add` makes an administrator."""

from __future__ import annotations

import re
import sys
from typing import Any

from trac.admin.console import TracAdmin
from trac.env import Environment
from trac.web.main import dispatch_request
from webtest import TestApp

from tests.servers.named_apps.signed_in import ADMINISTRATOR, MEMBER, behind, browser

folder = f"{sys.argv[1]}/env"
admin = TracAdmin(folder)
admin.onecmd("initenv Reports sqlite:db/trac.db")
admin.onecmd(f"permission add {ADMINISTRATOR} TRAC_ADMIN")
admin.onecmd("permission add authenticated TICKET_CREATE")


def site(environ: dict[str, Any], start_response: Any) -> Any:
    """Trac, for this folder."""
    return dispatch_request({**environ, "trac.env_path": folder}, start_response)


auth = behind(site, sign_out_cookies=["trac_auth", "trac_session"])
member, administrator = browser(auth, MEMBER), browser(auth, ADMINISTRATOR, "admin")


def seen(test_app: TestApp) -> tuple[str, int]:
    """The name on the page, as Trac shows an address, and the status of its administration."""
    (name,) = re.findall(r"logged in as\s*<[^>]*>([^<]*)<", test_app.get("/wiki").text)
    return name, test_app.get("/admin", expect_errors=True).status_int


print("member", *seen(member))
print("administrator", *seen(administrator))
form = member.get("/newticket").forms["propertyform"]
form["field_summary"] = "The printer"
form.submit("submit")
print("ticket", Environment(folder).db_query("SELECT reporter FROM ticket")[0][0])
print("visitor", browser(auth).get("/wiki").status_int)
