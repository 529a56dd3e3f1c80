"""Radicale: the collections of the signed-in user are their own."""

from __future__ import annotations

import re
import sys
from typing import Any

from radicale import Application, config

from tests.servers.named_apps.signed_in import ADMINISTRATOR, MEMBER, behind, browser

settings = config.load()
settings.update(
    {"auth": {"type": "remote_user"}, "storage": {"filesystem_folder": sys.argv[1]}, "logging": {"level": "critical"}},
    "test",
    privileged=True,
)
auth = behind(Application(settings))
member = browser(auth, MEMBER)


def asked(test_app: Any, method: str, path: str) -> int:
    """The status of the answer."""
    return int(test_app.request(path, method=method, expect_errors=True).status_int)


ASK = b"""<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>"""

print("own", asked(member, "MKCALENDAR", f"/{MEMBER}/calendar/"), asked(member, "PROPFIND", f"/{MEMBER}/calendar/"))
print("another's", asked(member, "PROPFIND", f"/{ADMINISTRATOR}/"))
found = member.request("/", method="PROPFIND", body=ASK)
print("principal", re.findall(r"<current-user-principal>\s*<href>(.*?)</href>", found.text)[0])
print("visitor", asked(browser(auth), "PROPFIND", f"/{MEMBER}/calendar/"))
