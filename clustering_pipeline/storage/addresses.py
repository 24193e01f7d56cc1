"""Addresses of databases, and errors of theirs, in words that never repeat a password."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from clustering_pipeline.core.errors import InputError

_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
}


def make_address(address: str, purpose: str) -> URL:
    """Return the URL of a database of SQLite or PostgreSQL with its driver.

    `purpose`: what is kept there. Raises InputError, which does not repeat the address, for it may
    hold a password.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InputError(
            f"The address of the {purpose} is not well formed. Write "
            "postgresql://USER@HOST:PORT/DATABASE, with what is not a letter or digit of a "
            "password percent-encoded, or leave the password to PGPASSWORD or ~/.pgpass."
        ) from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise InputError(
            f"The {purpose} cannot be kept in {backend!r}. Give a PostgreSQL URL, or a SQLite file."
        )
    return url if "+" in url.drivername else url.set(drivername=_DRIVERS[backend])


def shown(url: URL) -> str:
    """Return the file, or the address without its password and options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    account = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    host = url.host or "localhost"
    return f"postgresql://{account}{host}{port}/{url.database or ''}"


def cause_of(error: BaseException) -> str:
    """Return what the driver said where SQLAlchemy has wrapped it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause).strip()
