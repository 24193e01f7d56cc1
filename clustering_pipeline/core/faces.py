"""Packages that import the parts of their face when these are first used (PEP 562)."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def imported_when_used(package: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose modules, by the names that each gives to the
    face, are slow to load.

    Example:
        >>> imported_when_used("clustering_pipeline.core", {"errors": ["InputError"]})("InputError")
        <class 'clustering_pipeline.core.errors.InputError'>
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def attribute(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return attribute
