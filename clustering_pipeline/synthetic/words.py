"""The words printed on synthetic packs. Brands and product lines are invented; kinds, scents and volumes are everyday ones."""

from dataclasses import dataclass
from typing import Literal

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
        "kem chống nắng", "sun milk", ("tube", "bottle"), ("50 ml", "100 ml", "200 ml"), ("SPF30 PA++", "SPF50+ PA++++"), False
    ),
    Kind("sữa rửa mặt", "facial cleanser", ("tube",), ("80 g", "150 g"), ("trà xanh", "than tre", "gạo lứt")),
    Kind("nước hoa hồng", "toner", ("bottle",), ("120 ml", "250 ml"), ("da dầu", "da khô", "da nhạy cảm")),
    Kind("dầu gội", "shampoo", ("bottle",), ("350 ml", "650 ml"), ("bồ kết", "hoa bưởi", "bạc hà")),
    Kind("sữa tắm", "body wash", ("bottle",), ("450 ml", "900 ml"), ("oải hương", "anh đào", "biển xanh")),
    Kind("kem dưỡng", "cream", ("jar", "tube"), ("30 g", "50 g"), ("ban ngày", "ban đêm"), False),
    Kind("tinh chất", "serum", ("bottle", "box"), ("15 ml", "30 ml"), ("vitamin C 10%", "niacinamide 5%", "retinol 0.3%")),
    Kind("mặt nạ", "sheet mask", ("sachet",), ("23 ml", "25 ml"), ("lô hội", "mật ong", "ngọc trai")),
    Kind("bột giặt", "detergent", ("sachet", "box"), ("400 g", "800 g"), ("nắng mai", "hương hoa")),
    Kind("cà phê hòa tan", "instant coffee", ("box", "sachet"), ("10 gói", "20 gói"), ("3 in 1", "đen đá", "sữa dừa")),
    Kind("trà túi lọc", "tea bags", ("box",), ("20 túi", "50 túi"), ("hoa nhài", "gừng", "atiso")),
    Kind("bánh quy", "biscuits", ("box", "sachet"), ("180 g", "360 g"), ("bơ", "sô cô la", "dâu")),
    Kind("mì ăn liền", "noodles", ("sachet",), ("75 g", "90 g"), ("tôm chua cay", "bò hầm", "gà nấm")),
    Kind("kem đánh răng", "toothpaste", ("tube", "box"), ("100 g", "180 g"), ("muối biển", "trắng răng", "thảo mộc")),
)

BRANDS = (
    "Lumora", "Velisse", "Hanabi", "Oriva", "Tenko", "Mộc Nhi", "Sơn Ca", "Dewlyn", "Aquanea", "Kirei Lab", "Thảo An",
    "Bonvera", "Nuvia", "Petalu", "Zentra", "Cỏ Mây", "Solenne", "Mirae Do", "Opaline", "Greenko", "Hương Quê", "Yunami",
    "Fjella", "Arborine",
)  # fmt: skip

LINES = (
    "Aqua Veil", "Bright Days", "Pure Balance", "Silk Touch", "Fresh Garden", "Daily Calm", "Sunny Leaf", "Deep Hydra",
    "Gold Harvest", "Morning Dew", "Ultra Soft", "Snow Peak", "Velvet Bloom", "Active Zero", "Royal Grain", "Nature Plus",
    "Blue Lagoon", "Rose Avenue", "Clear Logic", "Happy Home", "Bold Roast", "Honey Moon", "Spring Rain", "Night Repair",
)  # fmt: skip

FINE_PRINT = (
    "dermatologically tested", "không paraben", "xuất xứ Việt Nam", "for daily use", "lắc đều trước khi dùng", "made with care",
    "giữ nơi khô ráo", "best before see base", "0% alcohol", "dùng ngoài da", "new formula", "chiết xuất thiên nhiên",
)  # fmt: skip

SHOPS = (
    "Shop Mẹ Bống", "Nhà Thuốc 24h", "Beauty Corner", "Siêu Thị Mini", "Hàng Nhật Nội Địa", "Kho Sỉ Giá Tốt",
    "Linh Cosmetics", "An Nhiên Store", "Tạp Hóa Cô Ba", "Mall Official", "Saigon Mart", "Hà Nội Xinh", "Gia Dụng Plus",
    "Chợ Online", "Bé Iu Shop", "Green House", "Duty Free VN", "Mỹ Phẩm Auth", "Thế Giới Tóc", "Cozy Home",
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
