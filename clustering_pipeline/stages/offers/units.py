"""What 100 ml, 100 g or a piece of a listing costs, by the quantities of its title."""

from clustering_pipeline.core.titles import read_quantities

# Of what a title states, one of these is what is sold; pieces go before what each of them holds.
_SOLD_BY = {"pieces": (1.0, "piece"), "ml": (100.0, "100 ml"), "g": (100.0, "100 g")}


def unit_amount(title: str) -> tuple[float, str] | None:
    """Return how many units a listing holds and which: "100 ml", "100 g" or "piece"; None when the
    title says none, or says several.

    Example:
        >>> unit_amount("Combo 2 chai dầu gội 650ml"), unit_amount("Mặt nạ 10 miếng 25ml")
        ((13.0, '100 ml'), (10.0, 'piece'))
        >>> unit_amount("Kem 50ml tặng gel 10ml") is None
        True
    """
    stated: dict[str, set[float]] = {}
    for quantity in read_quantities(title):
        stated.setdefault(quantity.kind, set()).add(quantity.value)
    packs = stated.get("packs", {1.0})
    kind = next((kind for kind in _SOLD_BY if kind in stated), None)
    if kind is None or len(packs) > 1 or len(stated[kind]) > 1:
        return None
    size, unit = _SOLD_BY[kind]
    return round(min(stated[kind]) * min(packs) / size, 6), unit


def unit_price(price: float, title: str) -> tuple[float, str] | None:
    """Return the price of one unit and which unit it is; None as for `unit_amount`."""
    amount = unit_amount(title)
    return None if amount is None else (round(price / amount[0], 4), amount[1])
