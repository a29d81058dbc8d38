"""Pages of HTML as tests read them: elements with their attributes, texts and parents."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, in order of elements."""
        return " ".join(filter(None, [*self.words, *(child.text for child in self.children)]))

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Elements of a name beneath, in their order; `class_` is one of its classes."""
        found = []
        for child in self.children:
            wanted = dict(attributes)
            style = wanted.pop("class_", None)
            fits = style is None or style in child.attributes.get("class", "").split()
            same = all(child.attributes.get(key) == value for key, value in wanted.items())
            if name in ("*", child.name) and fits and same:
                found.append(child)
            found += child.all(name, **attributes)
        return found

    def one(self, name: str, **attributes: str) -> Element:
        (found,) = self.all(name, **attributes)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Element("", {})

    def handle_starttag(self, name: str, given: list[tuple[str, str | None]]) -> None:
        child = Element(name, {key: value or "" for key, value in given}, self.at)
        self.at.children.append(child)
        if name not in VOID:
            self.at = child

    def handle_endtag(self, name: str) -> None:
        assert self.at.name == name, f"</{name}> ends <{self.at.name}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, text: str) -> None:
        self.at.words += [text.strip()] if text.strip() else []


def parsed(text: str) -> Element:
    """The root of a page whose every element ends in its place."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.at is parser.root, f"<{parser.at.name}> does not end"
    return parser.root
