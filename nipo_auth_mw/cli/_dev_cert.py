"""`nipo-auth dev-cert`: a certificate for a development server, for a phone in the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nipo_auth_mw.cli._context import told
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.stores._files import write_new

_FILES = ("ca.pem", "server.pem", "server.key")


@click.command("dev-cert")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".nipo-auth"), show_default=True)
def dev_cert(hosts: tuple[str, ...], folder: Path) -> None:
    """Make a certificate for names or addresses of this machine, such as 192.168.1.5.

    The authority that signs it is made for it alone, and its key is stored nowhere: what trusts ca.pem trusts this one
    certificate. It needs nipo_auth_mw[dev].
    """
    try:
        import trustme
    except ImportError:
        raise ConfigError("dev-cert", "needs trustme", "Run: pip install 'nipo_auth_mw[dev]'") from None
    if found := [name for name in _FILES if (folder / name).exists()]:
        raise ConfigError("--folder", f"{folder} has {', '.join(found)} already", "Remove them, or name another one.")
    with told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority: Any = trustme.CA()
    try:
        made = authority.issue_cert(*hosts)
    except ValueError as problem:
        raise ConfigError("HOST", str(problem), "Give names and addresses, without http:// and port.") from None
    chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    for name, data in zip(_FILES, (authority.cert_pem.bytes(), chain, made.private_key_pem.bytes()), strict=True):
        with told(folder / name):
            write_new(folder / name, data, 0o600 if name.endswith(".key") else 0o644)
    click.echo(f"{folder}/ca.pem is for the devices that shall trust it. The server takes server.pem and server.key.")
