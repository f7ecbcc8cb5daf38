"""A certificate for the embedded AWS, so that policies that refuse plain HTTP hold on a laptop too.

The authority exists only while the certificate is made: its private key is never written.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import trustme

from local import BUILD, LocalError

FOLDER = BUILD / "tls"
AUTHORITY = FOLDER / "authority.pem"
CERTIFICATE = FOLDER / "server.pem"
KEY = FOLDER / "server.key"


def make_certificate() -> None:
    """Make the certificate for loopback, unless it is there."""
    if _is_there():
        return
    BUILD.mkdir(exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost", "*.execute-api.localhost")
    # Several processes may do this at once: the files appear together, and those of one process.
    with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
        folder = Path(temporary) / FOLDER.name
        folder.mkdir()
        (folder / KEY.name).touch(mode=0o600)
        issued.private_key_pem.write_to_path(str(folder / KEY.name))
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(str(folder / CERTIFICATE.name), append=number > 0)
        authority.cert_pem.write_to_path(str(folder / AUTHORITY.name))
        with suppress(OSError):
            folder.rename(FOLDER)
    if not _is_there():
        raise LocalError(f"{FOLDER} lacks some of its files. Delete it, then run this again.")


def _is_there() -> bool:
    return all(file.exists() for file in (AUTHORITY, CERTIFICATE, KEY))
