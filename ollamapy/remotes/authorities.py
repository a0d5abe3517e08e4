"""Which authorities a server's certificate is accepted from: the system's, and those of a file of the user's."""

import ssl
from pathlib import Path

CA_HINT = "ca_file of the host in config.yaml, or SSL_CERT_FILE, names a file with your own authority's certificate"


def certificates(ca_file: str) -> ssl.SSLContext | bool:
    """What httpx takes as `verify`. Raises OSError, among it SSLError, for a file that cannot be used."""
    if not ca_file:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(Path(ca_file).expanduser())
    return context
