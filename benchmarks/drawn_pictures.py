"""Drawn photographs of products, brands with near variants that sellers frame, on files."""

from pathlib import Path

from benchmarks.stages import Picture
from clustering_pipeline.synthetic import draw_products, draw_sellers, encode_jpeg, photograph

_PER_PRODUCT, _SELLERS, _SEED = 5, 20, 17


def draw_pictures(folder: Path, size: int) -> list[Picture]:
    """Draw `size` pictures into a new folder, five of each product."""
    folder.mkdir()
    sellers, pictures = draw_sellers(_SELLERS, _SEED), []
    for product in draw_products(-(-size // _PER_PRODUCT), _SEED):
        for number in range(_PER_PRODUCT):
            path = folder / f"{product.number:05d}-{number}.jpg"
            seller = sellers[(product.number + number) % len(sellers)]
            path.write_bytes(
                encode_jpeg(photograph(product, seller, _PER_PRODUCT * product.number + number), 85)
            )
            pictures.append(Picture(path, f"drawn {product.number}"))
    return pictures[:size]
