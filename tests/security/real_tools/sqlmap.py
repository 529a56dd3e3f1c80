"""sqlmap: nothing we read reaches SQL as SQL. Limits are set high, since a 429 would keep it from the code behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.security.real_tools.common import ADMIN, MEMBER, Demo, Verdict, demo, run, tool
from tests.security.real_tools.vulnerable import holes

OPTIONS = [
    *("--batch", "--ignore-stdin", "--flush-session", "--disable-coloring", "--dbms=sqlite"),
    *("--level=3", "--risk=3", "--time-sec=2", "--ignore-code=401,403,404"),
]
NOTHING = "all tested parameters do not appear to be injectable"
_SECONDS = 150.0


class Aim(NamedTuple):
    """`data` makes it a POST; `signed_in` sends an administrator's cookies; `names` are the parameters tried."""

    path: str
    names: str
    data: str = ""
    signed_in: bool = False


AIMS = [
    Aim("/-/auth/login", "email,password", "email=a@example.com&password=a&next=/"),
    Aim("/-/auth/login", "user-agent", "email=a@example.com&password=a"),
    Aim("/-/auth/forgot", "email", "email=a@example.com"),
    Aim("/-/auth/language", "lang,next", "lang=en&next=/-/auth/login"),
    Aim("/-/auth/reset/*", ""),
    Aim("/-/auth/account", "nipo_auth,nipo_lang", signed_in=True),
    Aim("/-/auth/staff?q=kanri&after=0&changed=1", "q,after,changed", signed_in=True),
    Aim("/-/auth/staff/{member}*", "", signed_in=True),
    Aim("/-/auth/staff/{member}/profile", "name,memo,notify_email", "name=a&memo=a&notify_email=", signed_in=True),
    Aim("/-/auth/staff/{member}/role", "role", "role=staff", signed_in=True),
    Aim("/-/auth/account/sessions/end", "session", "session=000000000000", signed_in=True),
    Aim("/-/auth/audit?q=kanri@example.com&from=&after=0", "q,from,after", signed_in=True),
]


def check(work: Path) -> Iterator[Verdict]:
    program = tool("sqlmap", "sqlmap")
    with holes() as page:
        output = _try(program, work, f"{page.url}/find?name=a", "name")
    found = "Parameter: name (GET)" in output and NOTHING not in output
    yield Verdict(found, f"control: the injectable page was {'' if found else 'not '}found")
    with demo(work / "demo", lock=False) as site:
        for aim in AIMS:
            yield _verdict(program, work, site, aim)
        others = len(site.history("signed_in")) - sum(aim.signed_in for aim in AIMS)
        yield Verdict(others == 0, f"{others} others had signed in after all that")


def _verdict(program: str, work: Path, site: Demo, aim: Aim) -> Verdict:
    # For each aim anew: some pages are only for who has signed in lately.
    cookies = f"{site.sign_in(ADMIN)}; nipo_lang=en" if aim.signed_in else ""
    before = site.answered()
    url = site.url + aim.path.replace("{member}", site.id_of(MEMBER))
    output = _try(program, work, url, aim.names, aim.data, cookies)
    answered = site.answered() - before
    # Refusals that come before what is aimed at is reached.
    refused = sum(answered[status] for status in (403, 429, 503))
    stays = not cookies or site.knows(cookies) or "nipo_auth" in aim.names
    suspected = [line for line in output.splitlines() if "might be vulnerable" in line or "might be injectable" in line]
    nothing = NOTHING in output and "identified the following injection" not in output
    for line in suspected:
        print(f"  {line}")
    return Verdict(
        nothing and not suspected and stays and answered.total() > 50 and refused < answered.total() / 20,
        f"{'nothing' if nothing else 'SOMETHING'} at {'POST' if aim.data else 'GET'} {aim.path.partition('?')[0]} "
        f"({aim.names or 'the path'}); answers: {dict(sorted(answered.items()))}",
    )


def _try(program: str, work: Path, url: str, names: str, data: str = "", cookies: str = "") -> str:
    command = [program, *OPTIONS, f"--output-dir={work / 'sqlmap'}", "-u", url]
    command += ["-p", names] if names else []
    command += ["--data", data] if data else []
    command += ["--cookie", cookies] if cookies else []
    return run(command, _SECONDS)
