"""A certificate for the embedded AWS, so that policies that refuse plain HTTP hold on a laptop too.

The authority exists only while the certificate is made: its private key is never written.
"""

from __future__ import annotations

import trustme

from local import BUILD

FOLDER = BUILD / "tls"
AUTHORITY = FOLDER / "authority.pem"
CERTIFICATE = FOLDER / "server.pem"
KEY = FOLDER / "server.key"


def make_certificate() -> None:
    """Make the certificate for loopback, unless it is there."""
    if all(file.exists() for file in (AUTHORITY, CERTIFICATE, KEY)):
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost", "*.execute-api.localhost")
    KEY.touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(KEY))
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(str(CERTIFICATE), append=number > 0)
    authority.cert_pem.write_to_path(str(AUTHORITY))
