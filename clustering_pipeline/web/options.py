"""How the server is started."""

import getpass
import ipaddress
import secrets
from dataclasses import dataclass, field

from clustering_pipeline.core.errors import InputError


@dataclass(frozen=True)
class ServeOptions:
    """Where the server listens and what it lets in.

    Attributes:
        host, port: the address it binds to.
        token: what every request has to bring; only a server on loopback may go without one.
        names: host names under which a browser may reach it, besides numeric addresses and
            localhost.
        author: who signs corrections when the browser names nobody.
        upload_bytes: largest request body.
        query_pixels: most pixels of a query picture.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    names: tuple[str, ...] = ()
    author: str = field(default_factory=getpass.getuser)
    upload_bytes: int = 20_000_000
    query_pixels: int = 40_000_000

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"{self.host} can be reached by other machines, so a token is needed. Give "
                f"--token, or leave --host at 127.0.0.1."
            )
        if self.token is not None and len(self.token) < 16:
            raise InputError("The token is too short to be a secret. Give at least 16 characters.")

    @property
    def root(self) -> str:
        """The address of the server, with a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return self.root + (f"?token={self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a fresh secret."""
    return secrets.token_urlsafe(24)
