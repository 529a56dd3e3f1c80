"""wapiti: crawls and attacks the demo, as a visitor and as an administrator who just signed in.

What it reports on a healthy demo is in `KNOWN`, each with its reason; anything else is a bad verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.security.real_tools.common import ADMIN, Demo, Verdict, ask, demo, run
from tests.security.real_tools.own_venv import program
from tests.security.real_tools.vulnerable import Holes, holes

MODULES = (
    "sql,xss,permanentxss,exec,file,crlf,redirect,csrf,cookieflags,http_headers,csp,ssrf,xxe,methods,htaccess,upload"
)
A_MODULE = 30
OPTIONS = ["-S", "sneaky", "--no-bugreport", "-f", "json", "-dr", "1", "-v", "1"]
OPTIONS += ["--max-scan-time", "120", "--max-attack-time", str(A_MODULE)]
MUST_FIND = {
    "SQL Injection",
    "Reflected Cross Site Scripting",
    "Stored Cross Site Scripting",
    "Open Redirect",
    "Path Traversal",
    "Server Side Request Forgery",
    "Cross Site Request Forgery",
    "HttpOnly Flag cookie",
}
# Sign-out and the end of all sessions would make a visitor of the scanner.
NOT_TRIED = ("/-/auth/logout", "/-/auth/account/sessions/end")
_SECONDS = 600.0
_USUAL = {"GET", "HEAD", "POST", "OPTIONS"}


class Finding(NamedTuple):
    category: str
    method: str
    path: str
    info: str


class Scan(NamedTuple):
    """What wapiti reports, the paths it could open, and the modules that were stopped before they were done."""

    findings: list[Finding]
    opened: set[str]
    stopped: list[str]


class Known(NamedTuple):
    category: str
    where: str
    reason: str


KNOWN = [
    Known(
        "Cross Site Request Forgery",
        r"/-/auth/.* Lack of anti CSRF token",
        "Sec-Fetch-Site and Origin tell where a form comes from; each was sent from elsewhere, and refused",
    ),
    Known("HttpOnly Flag cookie", r"/ .*: nipo_lang", "the choice of a language is no secret, and opens nothing"),
    Known(
        "Secure Flag cookie",
        r"/ .*: nipo_(lang|flash|auth|device)",
        "base_url is http://127.0.0.1 here; the nginx check shows the flags with https",
    ),
    Known("Content Security Policy Configuration", "/ ", "the demo's own page: its headers are the app's to choose"),
    Known("Clickjacking Protection", "/ ", "the demo's own page: its headers are the app's to choose"),
    Known("MIME Type Confusion", "/ ", "the demo's own page: its headers are the app's to choose"),
    Known("HTTP Methods", "/", "only the usual methods are answered with success"),
]


def check(work: Path) -> Iterator[Verdict]:
    wapiti = program("wapiti")
    with holes() as page:
        found = {finding.category for finding in _scan(wapiti, work / "control", page.url, page).findings}
    missed = MUST_FIND - found
    words = f"missed {', '.join(sorted(missed))}" if missed else f"all {len(MUST_FIND)} kinds of holes were found"
    yield Verdict(not missed, f"control: {words}")
    with demo(work / "visited", lock=False) as site:
        yield _verdict(wapiti, work / "visitor", site, "", {"/-/auth/login", "/-/auth/forgot", "/-/auth/help"})
    with demo(work / "administered", lock=False) as site:
        opened = {
            "/",
            "/-/auth/account",
            "/-/auth/staff",
            "/-/auth/audit",
            "/-/auth/staff/create",
            "/-/auth/staff/bulk",
        }
        yield _verdict(wapiti, work / "admin", site, site.sign_in(ADMIN), opened)


def _verdict(wapiti: str, work: Path, site: Demo, cookies: str, opened: set[str]) -> Verdict:
    with holes() as page:
        scan = _scan(wapiti, work, site.url, page, cookies)
        visits = page.visits
    unknown = [finding for finding in scan.findings if not _reason(site, cookies, finding)]
    for finding in unknown:
        print(f"  {' '.join(finding)}")
    unseen = opened - scan.opened
    answered = site.answered()
    failed = sum(count for status, count in answered.items() if status >= 500)
    lost = bool(cookies) and not site.knows(cookies)
    words = [
        f"{len(unknown)} findings of {len(scan.findings)} are unknown",
        f"{len(scan.opened)} pages; answers: {dict(sorted(answered.items()))}",
        *([f"stopped after {A_MODULE} s each: {', '.join(scan.stopped)}"] if scan.stopped else []),
        *([f"did not open {', '.join(sorted(unseen))}"] if unseen else []),
        *([f"the demo fetched {visits}"] if visits else []),
        *(["its session was lost on the way"] if lost else []),
    ]
    who = "administrator" if cookies else "visitor"
    return Verdict(not (unknown or unseen or visits or failed or lost), f"as {who}: {'; '.join(words)}")


def _scan(wapiti: str, work: Path, url: str, page: Holes, cookies: str = "") -> Scan:
    """Look-ups of wapiti's own outside are led to the page's endpoint."""
    work.mkdir(parents=True)
    report = work / "report.json"
    command = [wapiti, "-u", f"{url}/", "-m", MODULES, *OPTIONS, "--endpoint", page.endpoint, "-o", str(report)]
    command += ["--store-session", str(work / "scan"), "--store-config", str(work / "config")]
    for path in NOT_TRIED if cookies else ():
        command += ["-x", f"{url}{path}"]
    command += ["-C", cookies] if cookies else []
    output = run(command, _SECONDS)
    if not report.exists():
        print(output[-1000:])
        return Scan([Finding("no report", "", "", "")], set(), [])
    found = json.loads(report.read_text())
    groups: list[dict[str, Any]] = [found["vulnerabilities"], found["anomalies"], found["additionals"]]
    findings = [
        Finding(category, each["method"], each["path"], each["info"])
        for group in groups
        for category, many in group.items()
        for each in many
    ]
    pages = [each["request"] for each in found["infos"]["crawled_pages"]]
    opened = {re.sub(r"^https?://[^/]+|\?.*", "", each["url"]) for each in pages if each["status_code"] == 200}
    return Scan(findings, opened, re.findall(r"Max attack time was reached for module (\w+)", output))


def _reason(site: Demo, cookies: str, finding: Finding) -> str:
    """Why this finding is none; "" for one that is."""
    for known in KNOWN:
        if known.category == finding.category and re.match(known.where, f"{finding.path} {finding.info}"):
            if known.category == "Cross Site Request Forgery" and not _refused(site, cookies, finding.path):
                return ""
            return "" if known.category == "HTTP Methods" and _odd_methods(finding.info) else known.reason
    return ""


def _refused(site: Demo, cookies: str, path: str) -> bool:
    """Whether a form on another site can send this, with the browser's cookies."""
    today = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    older = {"Origin": "https://evil.example"}
    common = {"Cookie": cookies, "Accept": "application/json"}
    answers = [ask(site.url + path, "POST", form={}, headers=common | each) for each in (today, older)]
    return all(answer.status == 403 and '"code": "cross_site"' in answer.text for answer in answers)


def _odd_methods(info: str) -> list[str]:
    """Methods that a page should not know, and was answered well with."""
    answered = re.findall(r"([A-Z]+) \((\d+)\)", info)
    return [method for method, status in answered if method not in _USUAL and int(status) < 400]
