"""What a server's headers promise of a file's content: its sha256. Only decides; header names are lower case.

repr-digest: sha-256=:BASE64:        RFC 9530
digest: sha-256=BASE64               RFC 3230
x-checksum-sha256: HEX               Artifactory, Nexus
x-amz-checksum-sha256: BASE64        S3, of an object that was uploaded in one piece
x-linked-etag: "HEX"                 Hugging Face, on the redirect too
"""

import base64
import re
from collections.abc import Mapping

from ollamapy.names import Digest

_HEX = re.compile(r'"?([0-9a-fA-F]{64})"?\Z')
_MEMBER = re.compile(r"(?:\A|,)\s*sha-256=:?([A-Za-z0-9+/]{43}=):?\s*(?=,|\Z)", re.IGNORECASE)


def promised_by(headers: Mapping[str, str]) -> Digest | None:
    """The digest of the whole file, by the answer that brings it."""
    for name in ("repr-digest", "digest"):
        if match := _MEMBER.search(headers.get(name, "")):
            return _of_base64(match[1])
    if match := _HEX.match(headers.get("x-checksum-sha256", "")):
        return Digest(match[1].lower())
    return _of_base64(headers.get("x-amz-checksum-sha256", "")) or promised_by_redirect(headers)


def promised_by_redirect(headers: Mapping[str, str]) -> Digest | None:
    """What a redirect says of the file that it leads to."""
    match = _HEX.match(headers.get("x-linked-etag", ""))
    return Digest(match[1].lower()) if match else None


def _of_base64(text: str) -> Digest | None:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return Digest(data.hex()) if len(data) == 32 else None
