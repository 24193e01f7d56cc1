"""What pages are made of: SVG drawings from elements, whose text and values of attributes are
escaped here and nowhere else, and the templates of HTML pages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clustering_pipeline.core.titles import split_by_measures


@dataclass(frozen=True)
class Element:
    """An element with its attributes in their order and its children: elements, or text."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple["Element | str", ...] = ()

    def __str__(self) -> str:
        if not self.children:
            return f"{self.opening[:-1]}/>"
        inside = "".join(
            escape(child) if isinstance(child, str) else str(child) for child in self.children
        )
        return f"{self.opening}{inside}</{self.name}>"

    @property
    def opening(self) -> str:
        """The start tag."""
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in self.attributes)
        return f"<{self.name}{attributes}>"


def element(name: str, *children: Element | str, **attributes: object) -> Element:
    """Return an element; `font_size=12` is the attribute font-size="12".

    >>> print(element("text", "a < b", x=4, text_anchor="end"))
    <text x="4" text-anchor="end">a &lt; b</text>
    """
    return Element(
        name,
        tuple((key.replace("_", "-"), str(value)) for key, value in attributes.items()),
        children,
    )


def canvas(
    width: int,
    height: int,
    *children: Element,
    font_size: int,
    size: bool = False,
    **attributes: object,
) -> Element:
    """Return the outermost element of a drawing of that many units across and down, which with
    `size` are its pixels too.
    """
    pixels = {"width": width, "height": height} if size else {}
    frame = {
        **pixels,
        "viewBox": f"0 0 {width} {height}",
        **attributes,
        "font_family": "sans-serif",
        "font_size": font_size,
    }
    return element("svg", *children, xmlns="http://www.w3.org/2000/svg", **frame)


def draw(width: int, height: int, parts: Iterable[Element], *, font_size: int) -> str:
    """Return a drawing on white, a part a line."""
    opening = canvas(width, height, font_size=font_size).opening
    return "\n".join(
        [
            opening,
            str(element("rect", width="100%", height="100%", fill="white")),
            *map(str, parts),
            "</svg>",
        ]
    )


def polyline(points: Iterable[tuple[float, float]], **attributes: object) -> Element:
    """Return a line through points (x, y), to a tenth of a unit."""
    return element(
        "polyline",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        fill="none",
        **attributes,
    )


def circle(x: float, y: float, radius: float, **attributes: object) -> Element:
    """Return a circle around (x, y), to a tenth of a unit."""
    return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=radius, **attributes)


def open_templates(*packages: str) -> Environment:
    """Return the templates in the folders `templates` of packages and of this one, the first that
    has one; values are escaped.

    A name that a template uses and was not given is an error. The filter `unbroken` is that of
    this module.
    """
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(package) for package in (*packages, "clustering_pipeline.core")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    return environment


def unbroken(text: str) -> Markup:
    """Return a name or a title for a page on which no line ends between a number and its unit.

    >>> print(unbroken("Toner <A> 50 ml"))
    Toner &lt;A&gt; <span class="whole">50 ml</span>
    """
    parts = split_by_measures(text)
    return Markup("").join(
        Markup('<span class="whole">{}</span>').format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )
