"""`python -m benchmarks.load`: the middleware under load, with faults, and what a sign-in costs PostgreSQL.

Without an option: nginx in front of gunicorn, whose workers are sync, gthread or gevent, on SQLite and on PostgreSQL
with Redis. wrk asks for signed-in pages, and for the same page without the middleware, in turn. Then people and
attackers send a mix: 95 % signed-in pages, 4 % visitors, 1 % sign-ins, sign-outs and resets, and bursts of wrong
passwords, forged cookies and forgotten passwords of unknown addresses. The identity in each answer is checked.

`--faults`: the same people and attackers, while servers are killed, stopped, frozen and slowed down one after the
other. Then an audit compares what clients saw with the audit log, the mail server and the hashers. The last line says
what was lost, doubled and admitted beyond the limit, and how many requests failed outside the faults.

`--cost`: statements, commits and writes of PostgreSQL for each of 100 sign-ins a second.

All servers are private to the run: free ports, data in a temporary folder. Exits 1 if anything was wrong. Needs Linux,
PostgreSQL, Redis, nginx and wrk (Debian: postgresql redis-server nginx-light wrk). A full disk needs root.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.load import audit, cost, report, throughput, trial
from benchmarks.load.processes import Missing


def all_faults(given: argparse.Namespace) -> bool:
    """Every set-up with its faults; whether all was well."""
    total, text = audit.Audit(), ""
    chosen = [one for one in trial.SET_UPS if given.store in (None, one.store)]
    planned, seconds = trial.plan(chosen, given.only, given.minutes * 60)
    for set_up, faults in planned.items():
        print(f"\n{set_up}", flush=True)
        try:
            table, found = trial.of(set_up, faults, seconds, given.rate, keep=given.keep)
        except Missing as missing:
            print(f"skipped: {missing}")
            continue
        print(f"\n{table}\n")
        for thing in [*found.things(), *(f"came twice, cut by a kill -9: {mail}" for mail in found.cut)]:
            print(thing, flush=True)
        text += f"{set_up}:\n\n{table}\n\n"
        total.add(found)
    print(total.verdict, flush=True)
    if given.write_docs:
        report.write("faults", f"{text}`{total.verdict}`")
    return total.good


def load(given: argparse.Namespace) -> bool:
    """Every set-up without faults; whether all answers were right."""
    rows, good = [], True
    for set_up in throughput.SET_UPS:
        if given.store in (None, set_up.store) and given.only in str(set_up):
            row, right = throughput.measure(set_up, given.seconds, given.rate)
            print(" | ".join(row), flush=True)
            rows.append(row)
            good = good and right
    text = report.table([throughput.HEAD, *rows])
    print(f"\n{text}")
    if given.write_docs:
        report.write("load", text)
    return good


def cost_of_a_sign_in(given: argparse.Namespace) -> bool:
    """What PostgreSQL does for a sign-in."""
    store, redis = (cost.measure(set_up, given.seconds, 100) for set_up in cost.SET_UPS)
    text = report.table([cost.HEAD, *((name, f"{store[name]:,.1f}", f"{redis[name]:,.1f}") for name in store)])
    print(text)
    if given.write_docs:
        report.write("cost", text)
    return True


def main() -> int:
    """Run what the options say. Returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = options.add_mutually_exclusive_group()
    what.add_argument("--faults", action="store_const", dest="run", const=all_faults, default=load)
    what.add_argument("--cost", action="store_const", dest="run", const=cost_of_a_sign_in)
    options.add_argument("--minutes", type=float, default=10, help="of faults, in all")
    options.add_argument("--seconds", type=float, default=40, help="of load, for each set-up")
    options.add_argument("--rate", type=float, default=60, help="acts of people a second")
    options.add_argument("--store", choices=("sqlite", "postgres"), help="only set-ups with this store")
    options.add_argument("--only", default="", help="only faults or set-ups whose name contains this")
    options.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options.add_argument("--write-docs", action="store_true", help="write the tables into docs/operations.md")
    given = options.parse_args()
    return 0 if given.run(given) else 1


if __name__ == "__main__":
    sys.exit(main())
