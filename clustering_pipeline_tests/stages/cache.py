"""What stages asked of their caches."""


def asked(context):
    """Return the hits and misses since the last call."""
    count = context.cache
    since = (count.hits, count.misses)
    count.hits = count.misses = 0
    return since
