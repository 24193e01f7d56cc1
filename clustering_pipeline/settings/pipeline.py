"""All settings of one category: defaults, then the settings file, then its section for the
category, then the run.

Every section is one class of this package, named where the classes of its kind are; `reference`
shows what a settings file looks like.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings.base import COMBINATION, StageSettings
from clustering_pipeline.settings.images import ImageSections
from clustering_pipeline.settings.installation import InstallationSections
from clustering_pipeline.settings.layers import (
    SAVING_SECONDS,
    Keys,
    SettingsLayer,
    parse_value,
    read_layer,
    shown,
)
from clustering_pipeline.settings.products import ProductSections

SETTINGS_FILE = "settings.yaml"
CATEGORIES = "categories"


class PipelineSettings(InstallationSections, ProductSections, ImageSections):
    """Every setting of one category.

    `storage` and `automation` belong to the whole installation.
    """

    def stage(self, name: str) -> StageSettings:
        """Return the settings of the stage `name`, one of `STAGES`."""
        settings: StageSettings = getattr(self, name)
        return settings


STAGES: dict[str, type[StageSettings]] = {
    name: field.annotation
    for name, field in PipelineSettings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, StageSettings)
}
# The settings files that this process has read.
_seen: set[Path] = set()
INSTALLATION_SECTIONS = ("storage", "automation")


@dataclass(frozen=True)
class RunOverrides:
    """What one run asks for besides the settings file: another file, then single assignments."""

    file: SettingsLayer = field(default_factory=lambda: SettingsLayer("the run"))
    assignments: SettingsLayer = field(default_factory=lambda: SettingsLayer("--set"))

    @classmethod
    def read(cls, assignments: Sequence[str] = (), file: Path | None = None) -> "RunOverrides":
        """Return the overrides of `section.name=value` assignments and of a settings file; raises
        InputError.
        """
        return cls(read_layer(file) if file else SettingsLayer("the run"), _assigned(assignments))

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str) -> "RunOverrides":
        """Return the overrides of sections with their settings; `source` names them in messages."""
        return cls(assignments=SettingsLayer(source, dict(values)))

    def __bool__(self) -> bool:
        return bool(self.file.values or self.assignments.values)


@dataclass(frozen=True)
class SettingsSource:
    """The settings file of an installation, read again whenever it is asked, and what one run
    overrides.
    """

    path: Path
    overrides: RunOverrides = field(default_factory=RunOverrides)

    def category(
        self, slug: str, recorded: Mapping[str, Mapping[str, Any]] | None = None
    ) -> PipelineSettings:
        """Return the settings of a category; raises InputError naming file and line of what cannot
        be used.

        `recorded`: what was chosen for its workbook, by section: it holds before the settings
        file and yields to what this run overrides.
        """
        file, run = self._file(), self.overrides.file
        layers = [file.without(CATEGORIES), self._section(file, slug)]
        layers.append(SettingsLayer("the record of the workbook", dict(recorded or {})))
        layers += [run.without(CATEGORIES), self._section(run, slug)]
        return resolve([*layers, self.overrides.assignments])

    def installation(self) -> PipelineSettings:
        """Return the settings without any category's section; raises InputError."""
        files = (self._file(), self.overrides.file)
        return resolve(
            [*(layer.without(CATEGORIES) for layer in files), self.overrides.assignments]
        )

    def named_categories(self) -> list[str]:
        """Return the slugs that the file has a section for; raises InputError."""
        return sorted(self._file().below(CATEGORIES).values)

    def problems(self, known_categories: Iterable[str]) -> list[str]:
        """Return what is wrong with the file and each of its category sections, one paragraph each;
        empty when all is well.
        """
        try:
            self.installation()
            named = self.named_categories()
        except InputError as error:
            return [str(error)]
        categories = sorted(known_categories)
        problems = [
            self._unknown_category(slug, categories) for slug in named if slug not in categories
        ]
        for slug in (slug for slug in named if slug in categories):
            try:
                self.category(slug)
            except InputError as error:
                problems.append(str(error))
        return problems

    def _file(self) -> SettingsLayer:
        # A link that leads nowhere, to a disk that is not there say, is no file that is missing.
        if not os.path.lexists(self.path):
            if self.path not in _seen:
                return SettingsLayer(str(self.path))
            # Some editors put the file away for a moment while they save it.
            time.sleep(SAVING_SECONDS)
            _seen.discard(self.path)
            return self._file()
        _seen.add(self.path)
        if self.path.exists() and not self.path.is_file():
            raise InputError(
                f"The settings file {self.path} is no file. Take away what stands in its place."
            )
        return read_layer(self.path)

    @staticmethod
    def _section(layer: SettingsLayer, slug: str) -> SettingsLayer:
        section = layer.below(CATEGORIES).below(slug)
        for name in INSTALLATION_SECTIONS:
            if name in section.values:
                raise InputError(
                    f"{section.where((name,))}: `{name}` belongs to the whole installation, not to "
                    f"the category {slug}. Move it out of `{CATEGORIES}`."
                )
        return section

    def _unknown_category(self, slug: str, categories: list[str]) -> str:
        place = self._file().where((CATEGORIES, slug))
        return (
            f"{place}: there is no category `{slug}`.{_nearest(slug, categories)} Its section is "
            f"not used."
        )


def resolve(layers: Sequence[SettingsLayer]) -> PipelineSettings:
    """Return the settings of layers, later ones over earlier ones; raises InputError for every
    mistake in them at once.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer.values)
    try:
        return PipelineSettings.model_validate(merged)
    except ValidationError as error:
        raise InputError(" ".join(_explanations(error.errors(), layers))) from error


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        # A section with nothing under it reads as null and says nothing.
        if (
            value is None
            and isinstance(merged.get(key, {}), Mapping)
            and key in PipelineSettings.model_fields
        ):
            continue
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explanations(
    details: Sequence[ErrorDetails], layers: Sequence[SettingsLayer]
) -> Iterator[str]:
    """Yield a sentence per mistake; what each alternative of a value expects is one sentence."""
    expected: dict[Keys, list[str]] = {}
    for detail in details:
        keys = _written_keys(tuple(str(key) for key in detail["loc"]), layers)
        place, name = _saying(keys, layers).where(keys), ".".join(keys)
        if detail["type"] == "extra_forbidden":
            yield f"{place}: there is no setting `{name}`.{_nearest_setting(keys)}"
            continue
        if detail["type"] == COMBINATION:
            yield _combination(keys, detail, layers)
            continue
        if keys not in expected:
            value = "what is given" if _is_secret(keys) else shown(detail["input"])
            expected[keys] = [f"{place}: `{name}` cannot be {value}"]
        expected[keys].append(detail["msg"].removeprefix("Value error, "))
    yield from (f"{start}: {'; or '.join(reasons)}." for start, *reasons in expected.values())


def _combination(section: Keys, detail: ErrorDetails, layers: Sequence[SettingsLayer]) -> str:
    """Return what does not go together, at the place that was said last."""
    named = [(*section, name) for name in detail["ctx"]["names"]]
    said = ((layer, keys) for layer in reversed(layers) for keys in named if layer.has(keys))
    layer, keys = next(said, (_saying(section, layers), section))
    return f"{layer.where(keys)}: `{'.'.join(keys)}` does not go with the rest: {detail['msg']}."


def _written_keys(location: Keys, layers: Sequence[SettingsLayer]) -> Keys:
    """Return the part of an error's location that stands in a layer; pydantic adds the alternatives
    of a type to it.
    """
    lengths = (
        length
        for length in range(len(location), 0, -1)
        if any(layer.has(location[:length]) for layer in layers)
    )
    return location[: next(lengths, 2)]


def _saying(keys: Keys, layers: Sequence[SettingsLayer]) -> SettingsLayer:
    return next((layer for layer in reversed(layers) if layer.has(keys)), layers[-1])


def _is_secret(keys: Keys) -> bool:
    """Whether a setting, or what is written within it, may hold a password."""
    section = PipelineSettings.model_fields.get(keys[0])
    fields = getattr(section.annotation if section else None, "model_fields", {})
    return any(
        SecretStr in (fields[key].annotation, *get_args(fields[key].annotation))
        for key in keys[1:2] or fields
        if key in fields
    )


def _nearest_setting(keys: Keys) -> str:
    section, name = ".".join(keys[:-1]), keys[-1]
    model: Any = PipelineSettings
    for key in keys[:-1]:
        inner = getattr(model, "model_fields", {}).get(key)
        # A place in a list leads to what the list holds.
        model = inner.annotation if inner else next(iter(get_args(model)), None)
    names = list(getattr(model, "model_fields", {}))
    elsewhere = [
        f"{part}.{name}"
        for part, settings_class in STAGES.items()
        if name in settings_class.model_fields
    ]
    if elsewhere and not get_close_matches(name, names):
        return f" Did you mean `{elsewhere[0]}`?"
    return _nearest(name, names, section)


def _nearest(name: str, names: Sequence[str], section: str = "") -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    prefix = f"{section}." if section else ""
    if close:
        return f" Did you mean `{prefix}{close[0]}`?"
    return f" Known are: {', '.join(names) or 'none yet'}."


def _assigned(assignments: Sequence[str]) -> SettingsLayer:
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        keys = tuple(name.strip().split("."))
        if not equals or len(keys) < 2 or not all(keys):
            raise InputError(
                f"--set {assignment!r} is not of the form section.name=value, for example "
                f"clusters.method=dbscan."
            )
        nested: Any = parse_value(text)
        for key in reversed(keys):
            nested = {key: nested}
        values = _merge(values, nested)
    return SettingsLayer("--set", values)
