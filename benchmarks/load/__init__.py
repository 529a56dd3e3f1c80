"""The whole house under load and faults: nginx, gunicorn, PostgreSQL, Redis and SMTP, all started here and all private.

The modules from below: `processes` and `servers` start what a site needs; `site` is what gunicorn serves; `house` puts
them together; `browser`, `people` and `attackers` send requests, whose answers `ledger` keeps; `faults` breaks the
servers; `audit` compares what clients saw with what the store and the mail server have; `report` prints and writes.
"""
