"""hydra: the right password behind 200 wrong ones. What was looked at is read from the demo's own history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.attack.real_tools.common import ADMIN, MEMBER, Demo, Verdict, demo, run, tool

# A page that only somebody who is signed in sees; hydra follows the redirect to it.
SUCCESS = 'id="who"'
WRONG = 200
LOOKED_AT = 5
_SECONDS = 120.0


def check(work: Path) -> Iterator[Verdict]:
    program = tool("hydra", "hydra")
    with demo(work / "demo") as site:
        # The member's list is short enough for the lock, so hydra has to find the third.
        found = _found(_try(program, work, site, MEMBER, wrong=2), MEMBER)
        yield Verdict(found, f"control: the right password as the third of three was {'' if found else 'not '}found")
        before, checked = len(site.history("signed_in")), _looked_at(site, ADMIN)
        found = _found(_try(program, work, site, ADMIN, wrong=WRONG), ADMIN)
        found = found or len(site.history("signed_in")) > before
        checked = _looked_at(site, ADMIN) - checked
        refused = site.answered()[429]
        yield Verdict(
            not found and checked == LOOKED_AT and refused >= WRONG + 1 - LOOKED_AT,
            f"{'found it' if found else 'did not find it'}; {checked} of {WRONG + 1} passwords were looked at, "
            f"{refused} times the answer was 429",
        )


def _try(program: str, work: Path, site: Demo, account: tuple[str, str, str, str, bool], *, wrong: int) -> str:
    email, password = account[:2]
    words = work / f"{wrong}-wrong-ones"
    words.write_text("".join(f"{n}-chigau-aikotoba\n" for n in range(wrong)) + password + "\n")
    form = f"/auth/login:email=^USER^&password=^PASS^:S={SUCCESS}"
    port = site.url.rpartition(":")[2]
    command = [program, "-I", "-t", "4", "-l", email, "-P", str(words), "-s", port, "127.0.0.1", "http-post-form", form]
    return run(command, _SECONDS, cwd=work)


def _found(output: str, account: tuple[str, str, str, str, bool]) -> bool:
    """hydra's own word: it prints what it found, and how many."""
    return f"password: {account[1]}" in output and "1 valid password found" in output


def _looked_at(site: Demo, account: tuple[str, str, str, str, bool]) -> int:
    return sum(event.email == account[0] for event in site.history("sign_in_failed"))
