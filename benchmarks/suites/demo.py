"""The demonstration: how long it takes on a warm install, and how well its catalogue is grouped."""

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import clustering_pipeline


def run(options: Options) -> list[Figure]:
    """Run `clustering-pipeline demo` in fresh homes, with the first seed and with others."""
    seeds = (0,) if options.quick else (0, 1, 2)
    commands = [
        clustering_pipeline(
            options.scratch,
            "demo",
            "--seed",
            str(seed),
            "--folder",
            str(options.scratch / f"demo {seed}"),
        )
        for seed in seeds
    ]
    seconds, used = (
        [command.seconds for command in commands],
        [command.processor_seconds for command in commands],
    )
    scores = [command.result["metrics"] for command in commands]
    middle = len(seeds) // 2
    return [
        Figure(
            "demo, whole command",
            sorted(seconds)[middle],
            "s",
            120.0,
            "at most",
            tuple(seconds),
            f"{sorted(used)[middle]:.0f} s of one core",
        ),
        _score("BCubed F1", [score["bcubed_f1"] for score in scores]),
        _score("pairwise F1", [score["pairwise_f1"] for score in scores]),
        Figure(
            "demo: share of mixed clusters",
            sorted(score["mixed_share"] for score in scores)[middle],
        ),
    ]


def _score(name: str, values: list[float]) -> Figure:
    return Figure(
        f"demo: {name}",
        sorted(values)[len(values) // 2],
        runs=tuple(values),
        note="one run per seed",
    )
