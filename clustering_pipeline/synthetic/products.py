"""Invented products: families of near variants that share a brand and a design, as shops really list them."""

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from clustering_pipeline.synthetic.words import BRANDS, KINDS, LINES, Kind, Shape

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """RGB colours of a pack: its body, the label's ground, two ornaments, the print."""

    body: Colour
    ground: Colour
    accent: Colour
    second: Colour
    ink: Colour


@dataclass(frozen=True)
class Product:
    """One product model. Products of a family differ only in variant, volume or number of packs.

    `design` seeds everything that the family's packs have in common: layout, ornaments, type.
    """

    number: int
    family: int
    brand: str
    line: str
    kind: Kind
    shape: Shape
    variant: str
    volume: str
    palette: Palette
    design: int
    packs: int = 1

    @property
    def title(self) -> str:
        """The product's name as a careful shop would write it."""
        name = f"{self.kind.vietnamese.capitalize()} {self.brand} {self.line} {self.variant} {self.volume}"
        return f"Combo {self.packs} {name}" if self.packs > 1 else name


def draw_products(count: int, seed: int = 0, *, brands: int | None = None) -> list[Product]:
    """Return `count` different products, in families of one to four near variants.

    Args:
        count: how many products.
        seed: the same seed gives the same products; the first products of a larger count are those of a smaller one.
        brands: how many brands they are spread over; all by default. Few brands make the products harder to tell apart.
    """
    products: list[Product] = []
    family = 0
    while len(products) < count:
        rng = np.random.default_rng([seed, 1, family])
        first = _draw_first(rng, seed, family, BRANDS[: brands or len(BRANDS)])
        products.extend(_draw_family(rng, first))
        family += 1
    return [replace(product, number=number) for number, product in enumerate(products[:count])]


def _draw_first(rng: np.random.Generator, seed: int, family: int, brands: tuple[str, ...]) -> Product:
    kind = KINDS[rng.integers(len(KINDS))]
    return Product(
        number=0,
        family=family,
        brand=brands[rng.integers(len(brands))],
        line=LINES[rng.integers(len(LINES))],
        kind=kind,
        shape=kind.shapes[rng.integers(len(kind.shapes))],
        variant=kind.variants[rng.integers(len(kind.variants))],
        volume=kind.volumes[rng.integers(len(kind.volumes))],
        palette=_draw_palette(rng),
        design=int(np.random.SeedSequence([seed, 2, family]).generate_state(1)[0]),
    )


def _draw_family(rng: np.random.Generator, first: Product) -> list[Product]:
    kind, family = first.kind, [first]
    if rng.random() < 0.45:
        family.append(replace(first, volume=_another(rng, kind.volumes, first.volume)))
    if rng.random() < 0.45:
        palette = _with_other_accent(rng, first.palette) if kind.variants_are_coloured else first.palette
        family.append(replace(first, variant=_another(rng, kind.variants, first.variant), palette=palette))
    if rng.random() < 0.25:
        family.append(replace(first, packs=2))
    return family


def _another(rng: np.random.Generator, choices: tuple[str, ...], taken: str) -> str:
    others = [choice for choice in choices if choice != taken]
    return others[rng.integers(len(others))]


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(red * 255), round(green * 255), round(blue * 255)


def _draw_palette(rng: np.random.Generator) -> Palette:
    hue = rng.random()
    other = hue + rng.choice([0.08, -0.08, 0.33, 0.5, 0.42])
    accent = _colour(hue, rng.uniform(0.45, 0.95), rng.uniform(0.5, 0.95))
    second = _colour(other, rng.uniform(0.35, 0.9), rng.uniform(0.55, 0.95))
    if rng.random() < 0.3:
        ground = _colour(hue, rng.uniform(0.6, 0.95), rng.uniform(0.25, 0.6))
        ink = _colour(other, 0.08, 0.98)
    else:
        ground = _colour(hue + 0.02, rng.uniform(0.02, 0.2), rng.uniform(0.92, 1.0))
        ink = _colour(other, rng.uniform(0.5, 0.9), rng.uniform(0.15, 0.4))
    body = ground if rng.random() < 0.5 else _colour(hue, rng.uniform(0.0, 0.5), rng.uniform(0.6, 1.0))
    return Palette(body, ground, accent, second, ink)


def _with_other_accent(rng: np.random.Generator, palette: Palette) -> Palette:
    red, green, blue = (value / 255 for value in palette.accent)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    return replace(palette, accent=_colour(hue + rng.uniform(0.12, 0.4), saturation, value))
