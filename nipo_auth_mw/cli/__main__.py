"""Runs `nipo-auth` as `python -m nipo_auth_mw.cli`."""

from nipo_auth_mw.cli import main

main()
