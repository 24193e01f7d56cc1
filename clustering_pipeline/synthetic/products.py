"""Invented products: families of near variants that share a brand and a design, as shops really
list them.
"""

import colorsys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Shape = Literal["bottle", "tube", "jar", "box", "sachet"]


@dataclass(frozen=True)
class Kind:
    """A kind of product: its Vietnamese and English names, its usual packs, sizes and variants."""

    vietnamese: str
    english: str
    shapes: tuple[Shape, ...]
    volumes: tuple[str, ...]
    variants: tuple[str, ...]
    # Scents and flavours change the colour of a pack; strengths such as SPF are only printed.
    variants_are_coloured: bool = True


KINDS = (
    Kind(
        "kem chống nắng",
        "sun milk",
        ("tube", "bottle"),
        ("50 ml", "100 ml", "200 ml"),
        ("SPF30 PA++", "SPF50+ PA++++"),
        False,
    ),
    Kind(
        "sữa rửa mặt",
        "facial cleanser",
        ("tube",),
        ("80 g", "150 g"),
        ("trà xanh", "than tre", "gạo lứt"),
    ),
    Kind(
        "nước hoa hồng",
        "toner",
        ("bottle",),
        ("120 ml", "250 ml"),
        ("da dầu", "da khô", "da nhạy cảm"),
    ),
    Kind("dầu gội", "shampoo", ("bottle",), ("350 ml", "650 ml"), ("bồ kết", "hoa bưởi", "bạc hà")),
    Kind(
        "sữa tắm",
        "body wash",
        ("bottle",),
        ("450 ml", "900 ml"),
        ("oải hương", "anh đào", "biển xanh"),
    ),
    Kind("kem dưỡng", "cream", ("jar", "tube"), ("30 g", "50 g"), ("ban ngày", "ban đêm"), False),
    Kind(
        "tinh chất",
        "serum",
        ("bottle", "box"),
        ("15 ml", "30 ml"),
        ("vitamin C 10%", "niacinamide 5%", "retinol 0.3%"),
    ),
    Kind(
        "mặt nạ", "sheet mask", ("sachet",), ("23 ml", "25 ml"), ("lô hội", "mật ong", "ngọc trai")
    ),
    Kind("bột giặt", "detergent", ("sachet", "box"), ("400 g", "800 g"), ("nắng mai", "hương hoa")),
    Kind(
        "cà phê hòa tan",
        "instant coffee",
        ("box", "sachet"),
        ("10 gói", "20 gói"),
        ("3 in 1", "đen đá", "sữa dừa"),
    ),
    Kind("trà túi lọc", "tea bags", ("box",), ("20 túi", "50 túi"), ("hoa nhài", "gừng", "atiso")),
    Kind("bánh quy", "biscuits", ("box", "sachet"), ("180 g", "360 g"), ("bơ", "sô cô la", "dâu")),
    Kind(
        "mì ăn liền", "noodles", ("sachet",), ("75 g", "90 g"), ("tôm chua cay", "bò hầm", "gà nấm")
    ),
    Kind(
        "kem đánh răng",
        "toothpaste",
        ("tube", "box"),
        ("100 g", "180 g"),
        ("muối biển", "trắng răng", "thảo mộc"),
    ),
)


BRANDS = (
    "Lumora", "Velisse", "Hanabi", "Oriva", "Tenko", "Mộc Nhi", "Sơn Ca", "Dewlyn", "Aquanea",
    "Kirei Lab", "Thảo An", "Bonvera", "Nuvia", "Petalu", "Zentra", "Cỏ Mây", "Solenne",
    "Mirae Do", "Opaline", "Greenko", "Hương Quê", "Yunami", "Fjella", "Arborine",
)  # fmt: skip


LINES = (
    "Aqua Veil", "Bright Days", "Pure Balance", "Silk Touch", "Fresh Garden", "Daily Calm",
    "Sunny Leaf", "Deep Hydra", "Gold Harvest", "Morning Dew", "Ultra Soft", "Snow Peak",
    "Velvet Bloom", "Active Zero", "Royal Grain", "Nature Plus", "Blue Lagoon", "Rose Avenue",
    "Clear Logic", "Happy Home", "Bold Roast", "Honey Moon", "Spring Rain", "Night Repair",
)  # fmt: skip


FINE_PRINT = (
    "dermatologically tested", "không paraben", "xuất xứ Việt Nam", "for daily use",
    "lắc đều trước khi dùng", "made with care", "giữ nơi khô ráo", "best before see base",
    "0% alcohol", "dùng ngoài da", "new formula", "chiết xuất thiên nhiên",
)  # fmt: skip


SHOPS = (
    "Shop Mẹ Bống", "Nhà Thuốc 24h", "Beauty Corner", "Siêu Thị Mini", "Hàng Nhật Nội Địa",
    "Kho Sỉ Giá Tốt", "Linh Cosmetics", "An Nhiên Store", "Tạp Hóa Cô Ba", "Mall Official",
    "Saigon Mart", "Hà Nội Xinh", "Gia Dụng Plus", "Chợ Online", "Bé Iu Shop", "Green House",
    "Duty Free VN", "Mỹ Phẩm Auth", "Thế Giới Tóc", "Cozy Home",
)  # fmt: skip


STICKERS = (
    "-50%",
    "SALE",
    "HOT",
    "-30%",
    "MUA 1 TẶNG 1",
    "FREESHIP",
    "CHÍNH HÃNG",
    "NEW",
    "GIÁ SỐC",
    "AUTH 100%",
    "11.11",
    "MALL",
)


BANNERS = (
    "FREESHIP TOÀN QUỐC",
    "HÀNG CHÍNH HÃNG 100%",
    "GIÁ TỐT MỖI NGÀY",
    "ĐỔI TRẢ 7 NGÀY",
    "FLASH SALE HÔM NAY",
    "HOÀN TIỀN 111%",
)


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
        name = (
            f"{self.kind.vietnamese.capitalize()} {self.brand} {self.line} {self.variant} "
            f"{self.volume}"
        )
        return f"Combo {self.packs} {name}" if self.packs > 1 else name


def draw_products(count: int, seed: int = 0, *, brands: int | None = None) -> list[Product]:
    """Return `count` different products, in families of one to four near variants.

    Args:
        count: how many products.
        seed: the same seed gives the same products; the first products of a larger count are those
            of a smaller one.
        brands: how many brands they are spread over; all by default. Few brands make the products
            harder to tell apart.
    """
    products: list[Product] = []
    family = 0
    while len(products) < count:
        rng = np.random.default_rng([seed, 1, family])
        first = _draw_first(rng, seed, family, BRANDS[: brands or len(BRANDS)])
        products.extend(_draw_family(rng, first))
        family += 1
    return [replace(product, number=number) for number, product in enumerate(products[:count])]


def _draw_first(
    rng: np.random.Generator, seed: int, family: int, brands: tuple[str, ...]
) -> Product:
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
        palette = (
            _with_other_accent(rng, first.palette) if kind.variants_are_coloured else first.palette
        )
        family.append(
            replace(first, variant=_another(rng, kind.variants, first.variant), palette=palette)
        )
    if rng.random() < 0.25:
        family.append(replace(first, packs=2))
    return family


def _another(rng: np.random.Generator, choices: tuple[str, ...], taken: str) -> str:
    others = [choice for choice in choices if choice != taken]
    return others[rng.integers(len(others))]


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(
        hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)
    )
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
    body = (
        ground if rng.random() < 0.5 else _colour(hue, rng.uniform(0.0, 0.5), rng.uniform(0.6, 1.0))
    )
    return Palette(body, ground, accent, second, ink)


def _with_other_accent(rng: np.random.Generator, palette: Palette) -> Palette:
    red, green, blue = (value / 255 for value in palette.accent)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    return replace(palette, accent=_colour(hue + rng.uniform(0.12, 0.4), saturation, value))
