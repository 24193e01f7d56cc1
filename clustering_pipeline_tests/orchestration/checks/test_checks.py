"""What the checks say of good and bad manifests."""

import dagster as dg
import pandas as pd
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import CLUSTERS, ENGLISH_PROMPTS, RAW_IMAGES
from clustering_pipeline.orchestration.assets.factory import check_results
from clustering_pipeline.orchestration.checks import (
    CLUSTER_COUNT_JUMP,
    DOWNLOAD_SUCCESS,
    ENOUGH_PICTURES,
    EVERY_LISTING,
    LARGEST_CLUSTER_SHARE,
    NO_MATCH_SHARE,
    REJECTED_SHARE,
    SCHEMA,
    UNIQUE_KEYS,
    Evidence,
)
from clustering_pipeline.settings import CheckSettings, PipelineSettings


def evidence(result: pd.DataFrame, manifest=CLUSTERS, **known) -> Evidence:
    checks = CheckSettings(**known.pop("limits", {}))
    return Evidence(
        result=result,
        manifest=manifest,
        upstream=known.get("upstream", {}),
        facts=known.get("facts", {}),
        facts_before=known.get("before", {}),
        settings=known.get("settings", PipelineSettings(checks=checks)),
    )


def clusters(numbers: list[int | None], status: str = "clustered") -> pd.DataFrame:
    return pd.DataFrame(
        {"listing": range(len(numbers)), "cluster_id": pd.array(numbers, "Int64"), "status": status}
    )


def test_a_lost_and_a_doubled_row_are_noticed():
    catalogue = {"catalogue": pd.DataFrame({"listing": [0, 1, 2]})}
    assert EVERY_LISTING.evaluate(evidence(clusters([1, 1, 2]), upstream=catalogue)).passed
    for numbers in ([1, 1], [1, 1, 2, 3]):
        assert not EVERY_LISTING.evaluate(evidence(clusters(numbers), upstream=catalogue)).passed


def test_keys_and_columns():
    good = pd.DataFrame(
        {"word": ["a", "b"], "english": "x", "synonyms": [[], []], "translator": "t"}
    )
    assert SCHEMA.evaluate(evidence(good, ENGLISH_PROMPTS)).passed
    assert UNIQUE_KEYS.evaluate(evidence(good, ENGLISH_PROMPTS)).passed
    assert not SCHEMA.evaluate(evidence(good.drop(columns="english"), ENGLISH_PROMPTS)).passed
    assert not SCHEMA.evaluate(evidence(good.assign(english=1), ENGLISH_PROMPTS)).passed
    assert not UNIQUE_KEYS.evaluate(evidence(good.assign(word="a"), ENGLISH_PROMPTS)).passed
    assert not UNIQUE_KEYS.evaluate(evidence(good.assign(word=None), ENGLISH_PROMPTS)).passed


def test_a_chain_is_noticed_and_a_small_category_is_none():
    assert not LARGEST_CLUSTER_SHARE.evaluate(evidence(clusters([1] * 25 + [2] * 5))).passed
    assert LARGEST_CLUSTER_SHARE.evaluate(evidence(clusters([1] * 5 + [2]))).passed
    assert LARGEST_CLUSTER_SHARE.evaluate(evidence(clusters([-1] * 40, "no_match"))).passed


def test_the_severity_is_a_setting():
    outcome = NO_MATCH_SHARE.evaluate(evidence(clusters([-1] * 9, "no_match")))
    assert (outcome.passed, outcome.severity) == (False, "warn")
    limits = {"severity": {"no_match_share": "error"}}
    assert (
        NO_MATCH_SHARE.evaluate(evidence(clusters([-1] * 9, "no_match"), limits=limits)).severity
        == "error"
    )


@pytest.mark.parametrize(
    ("before", "now", "passed"), [(100, 110, True), (100, 10, False), (None, 10, True)]
)
def test_a_jump_of_the_number_of_clusters(before, now, passed):
    found = evidence(clusters([1]), facts={"clusters": now}, before={"clusters": before})
    assert CLUSTER_COUNT_JUMP.evaluate(found).passed is passed


def test_every_failed_download_is_an_error_that_names_the_cause():
    failed = pd.DataFrame(
        {"image_sha256": [None] * 4, "error_kind": "not_found", "url": "https://shop.vn/a.jpg"}
    )
    outcome = DOWNLOAD_SUCCESS.evaluate(evidence(failed, RAW_IMAGES))
    assert (outcome.passed, outcome.severity) == (False, "error")
    assert "not_found, mostly on shop.vn" in outcome.sentence


LISTED = pd.DataFrame({"listing": range(4), "usable": [True, True, True, False]})
LISTED["reason"] = [None, None, None, "The cell names a file, and no folder was given."]


@pytest.mark.parametrize(
    ("held", "before", "least", "passed"),
    [
        (3, 0, 0.5, True),
        (2, 3, 0.5, True),
        (1, 3, 0.5, False),
        (0, 0, 0.5, False),
        (0, 3, 0.0, True),
        # The workbook became shorter.
        (3, 300, 0.5, True),
    ],
)
def test_a_run_that_lost_its_pictures_is_stopped_with_the_reasons(held, before, least, passed):
    pictures = pd.DataFrame(
        {
            "image_sha256": ["a"] * held + [None] * (3 - held),
            "error": [None] * held + ["No connection to shop.vn."] * (3 - held),
        }
    )
    settings = PipelineSettings.model_validate({"download": {"least_share": least}})
    outcome = ENOUGH_PICTURES.evaluate(
        evidence(
            pictures,
            RAW_IMAGES,
            upstream={"catalogue": LISTED},
            before={"pictures": before, "failed": 0},
            settings=settings,
        )
    )
    assert outcome.passed is passed
    if not passed:
        assert f"{3 - held} ×: No connection to shop.vn." in outcome.sentence
        assert "1 ×: The cell names a file" in outcome.sentence


def test_nothing_is_a_pass():
    nothing = clusters([])
    for check in (NO_MATCH_SHARE, LARGEST_CLUSTER_SHARE, REJECTED_SHARE, CLUSTER_COUNT_JUMP):
        assert check.evaluate(evidence(nothing)).passed


def test_a_failed_integrity_check_stops_before_anything_is_written():
    key = dg.AssetKey("clusters")
    results = check_results(
        [EVERY_LISTING], evidence(clusters([1]), upstream={"catalogue": clusters([1, 2])}), key
    )
    assert next(results).passed is False
    with pytest.raises(StageError, match="Nothing was written"):
        next(results)
