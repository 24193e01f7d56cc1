"""What people say in the tests of corrections."""

from clustering_pipeline.core.corrections import Correction, Different, ListingReference, Same


def listing(identifier, image=None):
    return ListingReference(identifier, image)


def same(a, b):
    return Same(*(side if isinstance(side, ListingReference) else listing(side) for side in (a, b)))


def different(a, b):
    return Different(listing(a), listing(b))


def say(store, statement, author="Lan", category=None):
    """Record one statement and return its number."""
    [number] = store.add([Correction(statement, author, category)])
    return number


def statements(store, category=None):
    """Return what is in force, the oldest first."""
    return [recorded.statement for recorded in store.in_force(category)]
