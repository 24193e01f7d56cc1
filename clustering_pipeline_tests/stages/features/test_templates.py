"""What a shop lays over many of its pictures is found, and what stands beside it is described."""

import cv2
import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import CLEAN_IMAGES, conform
from clustering_pipeline.imaging import to_png
from clustering_pipeline.settings import LocalFeatureSettings
from clustering_pipeline.stages import features
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import load_features
from clustering_pipeline.stages.features.templates import (
    CELLS,
    find_templates,
    from_text,
    layout,
    to_text,
)
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline.synthetic import draw_products, studio_picture

SIDE = 320


@pytest.fixture(scope="module")
def packs():
    return [studio_picture(one, side=SIDE) for one in draw_products(12, seed=31)]


def card(pack):
    """The pack at the left of a white card with the shop's sign at the upper right."""
    pixels = np.full((SIDE, SIDE, 3), 253, np.uint8)
    pixels[90:290, 20:180] = cv2.resize(pack, (160, 200), interpolation=cv2.INTER_AREA)
    cv2.rectangle(pixels, (220, 20), (300, 100), (230, 120, 140), -1)
    cv2.putText(pixels, "SHOP", (226, 70), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20, 30, 90), 2)
    return pixels


def templates_of(pictures):
    layouts = [layout(picture) for picture in pictures]
    return find_templates(layouts, layouts)


def test_the_sign_on_different_products_is_a_template_and_the_packs_are_none(packs):
    found = templates_of([card(pack) for pack in packs])
    assert found.covered[:, 1:5, 11:15].mean() > 0.8
    assert not found.covered[:, 6:, :9].any()
    assert (found.shares == 1).all()
    assert len(set(found.kinds.tolist())) == 1


def test_pictures_without_anything_in_common_have_no_template(packs):
    found = templates_of(packs)
    assert not found.covered.any()
    assert not found.shares.any()
    assert (found.kinds == -1).all()


def test_copies_of_one_photograph_are_no_template(packs):
    copies = [cv2.convertScaleAbs(card(packs[0]), alpha=1.0, beta=-(n % 3)) for n in range(9)]
    assert not templates_of([*copies, *packs[1:]]).covered.any()


def test_few_pictures_show_no_template(packs):
    assert not templates_of([card(pack) for pack in packs[:4]]).covered.any()


def test_a_template_is_found_by_the_references_alone(packs):
    layouts = [layout(card(pack)) for pack in packs]
    alone = find_templates(layouts[:1], layouts[1:])
    assert alone.covered[0, 1:5, 11:15].mean() > 0.8


def test_cells_become_text_and_back():
    cells = np.random.default_rng(2).random((CELLS, CELLS)) > 0.7
    assert (from_text(to_text(cells)) == cells).all()


def kept_pictures(pictures, context):
    rows = [
        {
            "crop_sha256": f"{number:064x}",
            "image_sha256": context.blobs.put(to_png(picture)),
            **dict(zip(("x0", "y0", "x1", "y1"), (0, 0, SIDE, SIDE), strict=True)),
            "status": "kept",
            "is_main": True,
        }
        for number, picture in enumerate(pictures)
    ]
    frame = pd.DataFrame(rows).reindex(columns=CLEAN_IMAGES.schema.names)
    return conform(frame.astype(object).where(frame.notna(), None), CLEAN_IMAGES)


@pytest.fixture(scope="module")
def described(packs, tmp_path_factory):
    root = tmp_path_factory.mktemp("cards")
    context = StageContext(
        BlobStore(str(root / "blobs")), FeatureTables(str(root / "features")), root
    )
    kept = kept_pictures([*map(card, packs), packs[0]], context)

    def run(**settings):
        return features.run(
            clean_images=kept, settings=LocalFeatureSettings(**settings), context=context
        )

    return run, context


def test_the_pack_beside_the_sign_is_described(described):
    run, context = described
    result = run()
    cards, plain = result.manifest.iloc[:12], result.manifest.iloc[12]
    assert (cards["template_pictures"] == 12).all()
    assert cards["template_kind"].nunique() == 1
    assert (cards["x1"] < 200).all()
    assert pd.isna(plain["template"])
    assert plain["template_pictures"] == 0
    assert result.facts["under_a_template"] == 12
    assert result.facts["pictures_of_largest_template"] == 12
    for row in cards.itertuples():
        found = load_features(context.blobs, row.features)
        assert len(found) > 0


def test_the_sign_is_part_of_the_product_when_templates_are_not_looked_for(described):
    run, _ = described
    manifest = run(templates=False).manifest
    assert manifest["template"].isna().all()
    assert (manifest["x1"].iloc[:12] > 250).all()


def test_a_second_run_finds_everything_again(described):
    run, context = described
    first = run().manifest
    held = sorted(context.state.rglob("*.parquet"))
    pd.testing.assert_frame_equal(first, run().manifest)
    assert sorted(context.state.rglob("*.parquet")) == held
