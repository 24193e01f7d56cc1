"""What every stage's settings share: strictness and the fingerprint."""

import hashlib
import json
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

NOT_IN_FINGERPRINT: JsonDict = {"fingerprint": False}
# The same for one that came later: settings that hold these settings do not see its default either.
LATER_NOT_IN_FINGERPRINT: JsonDict = {"fingerprint": False, "later": True}
IN_FINGERPRINT_UNLESS_DEFAULT: JsonDict = {"fingerprint": "unless default"}
COMBINATION = "combination"


def performance_field(
    default: Any, description: str, *, later: bool = False, **constraints: Any
) -> Any:
    """A knob that changes how fast or how gently a stage works, never what it returns; it is part
    of no fingerprint. `later`: it was added after results had been kept.
    """
    extra = LATER_NOT_IN_FINGERPRINT if later else NOT_IN_FINGERPRINT
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def later_field(default: Any, description: str, **constraints: Any) -> Any:
    """A knob that was added after results had been kept: while it holds its default, fingerprints
    are those from before it.
    """
    return Field(
        default,
        description=description,
        json_schema_extra=IN_FINGERPRINT_UNLESS_DEFAULT,
        **constraints,
    )


def combination_error(reason: str, *names: str) -> PydanticCustomError:
    """Return the error of settings of one section, `names`, that do not go together; `reason` says
    so with the remedy.
    """
    return PydanticCustomError(COMBINATION, "{reason}", {"reason": reason, "names": names})


class SettingsModel(BaseModel):
    """Settings whose unknown names and wrong types are refused, and numbers that are none: a limit
    of `nan` would hold nothing back, and be called no mistake.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        if isinstance(value, bool) and not _takes_bool(cls.model_fields[name].annotation):
            raise ValueError("true and false are no values of this setting")
        return value


def _takes_bool(annotation: Any) -> bool:
    return annotation is bool or any(map(_takes_bool, get_args(annotation)))


class StageSettings(SettingsModel):
    """The knobs of one stage."""

    model_config = ConfigDict(validate_default=True)

    # Raised by whoever changes the stage's logic, so that results of the old logic are not taken
    # for the new one's.
    logic_version: ClassVar[str] = "1"

    def fingerprint(self, *parts: str) -> str:
        """Return the sha256 of the logic version, of every knob that can change the output, and of
        `parts`.
        """
        hidden = {
            name
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict)
            and field.json_schema_extra.get("fingerprint") is False
        }
        knobs = _without_later_defaults(self, self.model_dump(mode="json", exclude=hidden))
        content = [type(self).__name__, self.logic_version, knobs, *parts]
        return hashlib.sha256(
            json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
        ).hexdigest()


def _without_later_defaults(settings: StageSettings, dumped: dict[str, Any]) -> dict[str, Any]:
    """Return the dumped knobs without those that came later and hold their default, in settings
    within settings too.
    """
    settings_then = {}
    for name, value in dumped.items():
        own, field = getattr(settings, name), type(settings).model_fields[name]
        later = field.json_schema_extra in (
            IN_FINGERPRINT_UNLESS_DEFAULT,
            LATER_NOT_IN_FINGERPRINT,
        )
        if later and own == field.default:
            continue
        if isinstance(own, StageSettings):
            value = _without_later_defaults(own, value)
        elif isinstance(own, list) and all(isinstance(inner, StageSettings) for inner in own):
            value = [
                _without_later_defaults(inner, part) for inner, part in zip(own, value, strict=True)
            ]
        settings_then[name] = value
    return settings_then
