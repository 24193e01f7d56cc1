"""The plan for large catalogues says what its script reckons."""

from dataclasses import replace

import pytest

from benchmarks.capacity import PAGE, Assumptions, Costs, limits_of, read_costs, renewed, stages_of

COSTS = Costs(
    milliseconds={
        "crops": 10.0,
        "hashes and quality": 10.0,
        "local features": 100.0,
        "embeddings": 100.0,
        "text on a pack": 1000.0,
    },
    grouping=20.0,
    exponent=1.1,
    picture=50_000.0,
    features=100_000.0,
    row=20_000.0,
    dimension=500,
)


def test_the_page_is_what_the_script_writes():
    page = PAGE.read_text(encoding="utf-8")
    assert page == renewed(page, read_costs(), Assumptions()), (
        "run `python -m benchmarks.capacity --write` and commit docs/scale.md"
    )


def test_hours_money_and_bytes_follow_from_costs():
    chosen = Assumptions(
        listings=3_600_000, cores=10, distinct=1.0, kept=0.5, packs_read=1.0, busy=0.5
    )
    stages = {stage.name: stage for stage in stages_of(COSTS, chosen)}
    features = stages["local features"]
    assert features.items == 1_800_000
    assert features.core_hours == pytest.approx(50)
    assert features.hours == pytest.approx(50 / 0.5 / 10)
    assert features.terabytes == pytest.approx(0.18)
    assert features.dollars == pytest.approx(100 * 0.04 + 180 * 0.023 + 5625 / 1e6 * 5)
    assert stages["fetch"].hours == pytest.approx(3_600_000 / 4000 / 3600)
    assert stages["text on packs"].core_hours == pytest.approx(500)


def test_larger_categories_cost_more_for_a_crop_in_matches_alone():
    chosen = Assumptions()
    small, large = (
        {stage.name: stage.core_hours for stage in stages_of(COSTS, assumed)}
        for assumed in (chosen, replace(chosen, category=10 * chosen.category))
    )
    name = "matches and clusters, without text"
    assert large.pop(name) == pytest.approx(small.pop(name) * 10**0.1)
    assert large == small


def test_what_gives_way_first_comes_first():
    sizes = [int(size.replace(",", "")) for size, _, _ in limits_of(COSTS, Assumptions())]
    assert sizes == sorted(sizes)
