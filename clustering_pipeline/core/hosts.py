"""Under which names a server of this machine may be spoken to.

A browser sends the requests of a page to whatever address the name of that page resolves to: who
owns the name can have it lead here (DNS rebinding). Such a request still bears the name.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit


def is_known_host(header: str, names: Collection[str]) -> bool:
    """Whether a Host header has a numeric address, localhost, or one of `names`."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
