"""nipo_auth_mw beside its peers: `python -m benchmarks.peers [--rounds 9] [--calls 200]`.

Makes an environment of its own for them in the folder for temporary files. Each site is proven right before it is
timed: who is signed in, that a wrong password and an altered cookie are not believed, and whether a copied cookie lives
on after sign-out. All are then timed in one interleaved run, each with the password hash that it has by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).parents[2]
PEERS = (
    "Flask-Login==0.6.3",
    "Flask-Security-Too[common,fsqla]==5.9.2",
    "Django==5.2.19",
    "pyramid==2.1",
    "Beaker==1.14.1",
    "repoze.who==3.2.0",
    "gunicorn==27.0.1",
)


def main() -> int:
    """Run `benchmarks.peers.run` in the environment of the peers. Returns its exit code."""
    version = ".".join(map(str, sys.version_info[:2]))
    folder = Path(tempfile.gettempdir()) / f"nipo-auth-peers-{os.getuid()}-{version}-{crc32(repr(PEERS).encode()):x}"
    python = folder / "bin" / "python"
    if not python.exists():
        # Another user's folder of this name must not be run from.
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            sys.exit(f"{folder} belongs to another user")
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", str(ROOT), *PEERS], check=True)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [python, "-W", "ignore", "-m", "benchmarks.peers.run", *sys.argv[1:]], cwd=ROOT, env=environ
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
