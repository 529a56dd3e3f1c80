"""hydra: the right password behind 200 wrong ones. What was looked at is read from the demo's own history.

hydra 9.4 takes a form's 401 for HTTP authentication and tries the same password for ever, so a relay makes it 200.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tests.security.real_tools.common import ADMIN, Demo, Verdict, ask, demo, run, served, tool

# A page that only a signed-in user sees; hydra follows the redirect to it.
SUCCESS = 'id="who"'
WRONG, FEWER = 200, 20
LOOKED_AT = 5
_SECONDS = 120.0
EMAIL, PASSWORD = ADMIN[:2]


def check(work: Path) -> Iterator[Verdict]:
    program = tool("hydra", "hydra")
    with demo(work / "unlocked", lock=False) as site:
        found = _finds(program, work, site, wrong=FEWER)
        words = f"without the lock the right password behind {FEWER} wrong ones was {'' if found else 'not '}found"
        yield Verdict(found and len(site.history("signed_in")) > 0, f"control: {words}")
    with demo(work / "locked") as site:
        found = _finds(program, work, site, wrong=WRONG) or bool(site.history("signed_in"))
        checked, refused = len(site.history("sign_in_failed")), site.answered()[429]
        yield Verdict(
            not found and checked == LOOKED_AT and refused == WRONG + 1 - LOOKED_AT,
            f"{'found it' if found else 'did not find it'}; {checked} of {WRONG + 1} passwords were looked at, "
            f"{refused} times the answer was 429",
        )


def _finds(program: str, work: Path, site: Demo, *, wrong: int) -> bool:
    """hydra's own word: it prints what it found, and how many."""
    words = work / f"{wrong}-wrong-ones"
    words.write_text("".join(f"{n}-chigau-aikotoba\n" for n in range(wrong)) + PASSWORD + "\n")
    form = f"/-/auth/login:email=^USER^&password=^PASS^:S={SUCCESS}"
    with served(_relay(site)) as url:
        where = ["-s", url.rpartition(":")[2], "127.0.0.1", "http-post-form", form]
        output = run([program, "-I", "-t", "4", "-l", EMAIL, "-P", str(words), *where], _SECONDS, cwd=work)
    return f"password: {PASSWORD}" in output and "1 valid password found" in output


def _relay(site: Demo) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        form = None
        if environ["REQUEST_METHOD"] == "POST":
            form = dict(parse_qsl(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()))
        cookies = {"Cookie": environ.get("HTTP_COOKIE", "")}
        answer = ask(site.url + environ["PATH_INFO"], environ["REQUEST_METHOD"], form=form, headers=cookies)
        wanted = {"set-cookie", "location", "content-type"}
        headers = [pair for pair in answer.headers if pair[0].lower() in wanted]
        start_response(f"{200 if answer.status == 401 else answer.status} Relayed", headers)
        return [answer.text.encode()]

    return app
