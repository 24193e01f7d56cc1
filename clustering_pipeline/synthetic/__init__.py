"""Synthetic products, sellers, photographs and catalogues, drawn from a seed.

They feed the demo, the vocabulary of the `local` encoder, tests and benchmarks. Nothing here is a
photograph of, or a trained model's output about, a real thing; pictures depend on the seed alone,
not on the fonts of the machine.
"""

from clustering_pipeline.synthetic.catalogue import (
    LoopbackShop,
    SyntheticCatalogue,
    SyntheticListing,
    encode_jpeg,
    serve_folder,
    write_catalogue,
)
from clustering_pipeline.synthetic.marks import Mark, draw_marks, mark_mask, render_mark
from clustering_pipeline.synthetic.products import Palette, Product, draw_products
from clustering_pipeline.synthetic.scenes import (
    CARELESS,
    STUDIO,
    Pose,
    Seller,
    decorate,
    draw_sellers,
    photograph,
    studio_picture,
)

__all__ = [
    "CARELESS",
    "STUDIO",
    "LoopbackShop",
    "Mark",
    "Palette",
    "Pose",
    "Product",
    "Seller",
    "SyntheticCatalogue",
    "SyntheticListing",
    "decorate",
    "draw_marks",
    "draw_products",
    "draw_sellers",
    "encode_jpeg",
    "mark_mask",
    "photograph",
    "render_mark",
    "serve_folder",
    "studio_picture",
    "write_catalogue",
]
