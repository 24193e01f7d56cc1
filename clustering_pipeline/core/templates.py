"""The templates of pages."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def open_templates(*packages: str) -> Environment:
    """Return the templates in the folders `templates` of packages, the first that has one; values
    are escaped.

    A name that a template uses and was not given is an error.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
