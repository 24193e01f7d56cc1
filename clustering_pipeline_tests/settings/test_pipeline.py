"""The settings of a category: layers, and mistakes reported with file and line."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import layers, pipeline
from clustering_pipeline.settings.layers import parse_layer, parse_value
from clustering_pipeline.settings.pipeline import (
    STAGES,
    PipelineSettings,
    RunOverrides,
    SettingsSource,
    resolve,
)

FILE = """\
clusters:
  method: dbscan
  eps: 0.3
crops:
  crop: off
categories:
  serum:
    clusters:
      eps: 0.4
  toner:
    clusters:
      epss: 0.5
"""


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    path = tmp_path / "settings.yaml"
    path.write_text(FILE)
    return SettingsSource(path)


def test_a_missing_file_gives_the_defaults(tmp_path):
    assert SettingsSource(tmp_path / "settings.yaml").category("serum") == PipelineSettings()


def test_the_category_overrides_the_file_and_the_file_the_defaults(source):
    assert source.category("serum").clusters.eps == 0.4
    assert source.category("serum").clusters.method == "dbscan"
    assert source.category("cleanser").clusters.eps == 0.3


def test_off_is_text_and_no_flag(source):
    assert source.category("serum").crops.crop == "off"


def test_the_run_overrides_everything_and_only_that_run(source, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(
        "clusters:\n  eps: 0.9\ncategories:\n  serum:\n    clusters:\n      min_samples: 7\n"
    )
    overrides = RunOverrides.read(["clusters.eps=0.1"], other)
    settings = SettingsSource(source.path, overrides).category("serum").clusters
    assert (settings.eps, settings.min_samples, settings.method) == (0.1, 7, "dbscan")
    assert source.category("serum").clusters.eps == 0.4


def test_a_mistake_in_one_category_leaves_the_others_alone(source):
    with pytest.raises(
        InputError,
        match=r"settings\.yaml:12: there is no setting `clusters\.epss`\. Did you mean "
        r"`clusters\.eps`\?",
    ):
        source.category("toner")
    assert source.category("serum").clusters.eps == 0.4


def test_problems_name_unknown_categories_and_the_nearest_known_one(source):
    problems = source.problems(["toner", "seru"])
    assert len(problems) == 2
    assert "settings.yaml:7: there is no category `serum`. Did you mean `seru`?" in problems[0]
    assert "epss" in problems[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cluster:\n  eps: 1\n", r"f:1: there is no setting `cluster`\. Did you mean `clusters`\?"),
        ("clusters:\n  eps: wide\n", r"f:2: `clusters\.eps` cannot be 'wide'"),
        ("clusters:\n  encoder: clip\n", r"f:2: .*Did you mean `embeddings\.encoder`\?"),
        (
            "matches:\n  attributes:\n    kind:\n      noodles: [mì gói, '!!']\n",
            r"f:2: `matches\.attributes` cannot be .*'!!' is no phrase.*letter or digit",
        ),
        (
            "matches:\n  attributes:\n    taste:\n      spicy: [cay]\n",
            r"f:3: .*'kind', 'form', 'ingredient', 'shade' or 'purpose'",
        ),
        ("refresh:\n  cron: every week\n", r"f:2: `refresh\.cron` cannot be 'every week'.*five"),
        ("refresh:\n  time_zone: Mars/Base\n", r"f:2: .*no time zone"),
        ("checks:\n  severity:\n    no_match_share: fatal\n", r"f:2: .*'fatal' is no severity"),
        ("clusters: 5\n", r"f:1: `clusters` cannot be 5"),
        (
            "embeddings:\n  encoder: clipp\n",
            r"f:2: `embeddings\.encoder` cannot be 'clipp'.*'local'.*'onnx'",
        ),
        (
            "matches:\n  further_embeddings:\n    - model: x\n      encoder: vitt\n",
            r"f:4: `matches.*0\.encoder` .*'vit'",
        ),
        (
            "matches:\n  further_embeddings:\n    - model: x\n      encodr: vit\n",
            r"f:4: .*Did you mean .*encoder`",
        ),
        ("crops:\n  detector: yolo\n", r"f:2: `crops\.detector` cannot be 'yolo'.*'yolo-world'"),
        ("crops:\n  mask: sam2\n", r"f:2: `crops\.mask` cannot be 'sam2'"),
        ("clusters:\n  method: leiden\n", r"f:2: `clusters\.method` cannot be 'leiden'.*'graph'"),
        (
            "prompts:\n  translator: gemni\n",
            r"f:2: `prompts\.translator` cannot be 'gemni'.*'gemini'",
        ),
        ("prompts:\n  words: [hộp, '']\n", r"f:2: `prompts\.words` .*1 to 80 characters"),
        ("compute:\n  workers: true\n", r"f:2: `compute\.workers` cannot be True: true and false"),
        ("compute:\n  engine: spark\n", r"f:2: `compute\.engine` cannot be 'spark'.*'local'"),
        ("clusters:\n  k_range: [5, 2]\n", r"f:2: `clusters\.k_range` .*least and the greatest"),
    ],
)
def test_a_mistake_names_its_line_and_what_was_meant(text, expected):
    with pytest.raises(InputError, match=expected):
        resolve([parse_layer(text, "f")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "clusters:\n  method: kmeans\n  evidence: matches\n",
            r"f:3: `clusters\.evidence` .*clusters\.evidence to embeddings",
        ),
        (
            "clusters:\n  method: dbscan\n  eps: auto\n  evidence: matches\n",
            r"f:3: `clusters\.eps` .*to a number",
        ),
        (
            "clusters:\n  method: agglomerative\n  device: gpu\n",
            r"f:3: `clusters\.device` .*clusters\.linkage to single",
        ),
        (
            "clusters:\n  largest_weight: 0.2\n  smallest_weight: 0.5\n",
            r"f:2: `clusters\.largest_weight` .*must exceed smallest_weight 0\.5",
        ),
        ("embeddings:\n  encoder: onnx\n", r"f:2: `embeddings\.encoder` .*path of an exported"),
        ("embeddings:\n  reduce: lda\n", r"f:2: `embeddings\.reduce` .*`reduce_labels`"),
        (
            "matches:\n  further_embeddings:\n    - encoder: onnx\n",
            r"f:3: `matches\.further_embeddings\.0\.encoder` .*`model`",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_at_their_line(text, expected):
    with pytest.raises(InputError, match=expected):
        resolve([parse_layer(text, "f")])


@pytest.mark.parametrize(
    "sweep",
    [
        "eps",
        "eps=1",
        "eps=0:1:0",
        "eps=-1:1:0.5",
        "colour=1:2:1",
        "eps=0.1:2:0.001",
        "k=1:5:1",
        "eps=0:inf:1",
    ],
)
def test_a_sweep_that_is_none_is_refused_at_its_line(sweep):
    with pytest.raises(InputError, match=r"f:3: `clusters\.sweep` .*no range"):
        resolve([parse_layer(f"clusters:\n  method: dbscan\n  sweep: {sweep}\n", "f")])


def test_what_does_not_go_together_is_named_where_it_was_said_last():
    layers = [
        parse_layer("clusters:\n  evidence: matches\n", "f"),
        parse_layer("clusters:\n  method: kmeans\n", "g"),
    ]
    with pytest.raises(InputError, match=r"g:2: `clusters\.method`"):
        resolve(layers)


@pytest.mark.parametrize(
    "text", ["a: [1", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "- 1\n", "? [1]\n: 2\n", "\x00"]
)
def test_what_is_no_settings_file_is_refused(text):
    with pytest.raises(InputError, match="f"):
        parse_layer(text, "f")


def test_installation_sections_do_not_belong_into_a_category(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("categories:\n  serum:\n    storage:\n      root: /x\n")
    with pytest.raises(
        InputError, match=r"settings\.yaml:3: `storage` belongs to the whole installation"
    ):
        SettingsSource(path).category("serum")


@pytest.mark.parametrize("assignment", ["clusters.method", "eps=1", "clusters.=1", "=", ""])
def test_an_assignment_that_is_none_is_refused(assignment):
    with pytest.raises(InputError, match=r"section\.name=value"):
        RunOverrides.read([assignment])


def test_a_section_with_nothing_below_it_says_nothing():
    assert resolve([parse_layer("clusters:\n", "f")]) == PipelineSettings()


@given(st.text(max_size=60))
def test_any_text_is_settings_or_an_input_error(text):
    try:
        resolve([parse_layer(text, "f")])
    except InputError as error:
        assert str(error).startswith("f")


@given(st.text(max_size=30))
def test_any_value_can_be_assigned(text):
    parse_value(text)


def test_every_stage_has_a_section():
    assert list(STAGES)[:3] == ["catalogue", "offers", "download"]
    assert {"crops", "embeddings", "matches", "clusters", "workbook", "report", "search"} <= set(
        STAGES
    )


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", ".inf", ".nan"])
def test_a_limit_that_is_no_number_is_refused(number):
    with pytest.raises(InputError, match=r"f:2: `crops\.minimum_area` cannot be .*"):
        resolve([parse_layer(f"crops:\n  minimum_area: {number}\n", "f")])
    with pytest.raises(InputError, match=r"--set: `matches\.verification\.ratio` cannot be"):
        SettingsSource(
            Path("none.yaml"), RunOverrides.read([f"matches.verification.ratio={number}"])
        ).installation()


@pytest.mark.parametrize(
    "value",
    [
        "!!int x",
        "!!int ''",
        "!!float ''",
        "!!bool x",
        "!!timestamp x",
        "!!binary é",
        "!!python/object:os.system x",
        "9" * 5000,
        "&a [1]\n  b: *a",
        "[" * 5000,
        "\t1",
    ],
)
def test_a_value_that_yaml_cannot_make_is_refused_at_its_line(value):
    with pytest.raises(InputError, match=r"^f:[23]: this is not YAML that can be read|^f: this"):
        parse_layer(f"clusters:\n  eps: {value}\n", "f")


def test_a_value_of_any_length_makes_a_short_message():
    with pytest.raises(InputError) as error:
        resolve([parse_layer(f"clusters:\n  eps: {'x' * 100_000}\n", "f")])
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "storage:\n  database: [postgresql://lan:hunter2@db/x]\n",
        "storage: postgresql://lan:hunter2@db/x\n",
    ],
)
def test_a_mistake_about_a_secret_does_not_repeat_it(text):
    with pytest.raises(InputError, match=r"f:[12]: `storage") as error:
        resolve([parse_layer(text, "f")])
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("kind", ["folder", "lost link", "pipe", "large", "latin"])
def test_what_stands_in_the_place_of_the_settings_is_never_taken_for_no_settings(tmp_path, kind):
    path = tmp_path / "settings.yaml"
    match kind:
        case "folder":
            path.mkdir()
        case "lost link":
            path.symlink_to(tmp_path / "unmounted" / "settings.yaml")
        case "pipe":
            os.mkfifo(path)
        case "large":
            path.write_bytes(b"# " + b"x" * 2**20)
        case _:
            path.write_bytes("# Ghi chú".encode("latin-1"))
    with pytest.raises(InputError, match=r"settings file .*settings\.yaml"):
        SettingsSource(path).installation()


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_settings_file_is_not_taken_for_the_wish_for_defaults(
    tmp_path, monkeypatch, content
):
    monkeypatch.setattr(layers, "SAVING_SECONDS", 0)
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    for read in (SettingsSource(path).installation, lambda: RunOverrides.read(file=path)):
        with pytest.raises(InputError, match=r"settings\.yaml is empty.*remove it or write"):
            read()
    for said in ("{}", "# clusters:"):
        path.write_text(said)
        assert SettingsSource(path).installation() == PipelineSettings()


@pytest.mark.parametrize("module", [layers, pipeline])
def test_a_file_that_is_being_saved_is_waited_for(source, monkeypatch, module):
    def save(_seconds):
        source.path.write_text(FILE)

    source.installation()
    monkeypatch.setattr(module.time, "sleep", save)
    if module is layers:
        source.path.write_text("")
    else:
        source.path.unlink()
    assert source.installation().clusters.method == "dbscan"


def test_a_file_that_was_taken_away_leaves_the_defaults(source, monkeypatch):
    monkeypatch.setattr(pipeline, "SAVING_SECONDS", 0)
    source.installation()
    source.path.unlink()
    assert source.installation() == PipelineSettings()


def test_a_typing_error_does_not_start_ten_thousand_processes(tmp_path):
    with pytest.raises(InputError, match=r"compute\.workers. cannot be 10000: .*1024"):
        resolve([parse_layer("compute: {workers: 10000}", "f")])
