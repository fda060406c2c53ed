"""HTML in which whatever comes from outside is text: only what is built here can be markup."""

from html import escape

_VOID = {"input", "link", "meta"}


class Html(str):
    """Markup; any other string is text and gets escaped."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | bool) -> Html:
    """Make an element; ``class_`` and ``http_equiv`` are attributes with a word of Python's."""
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    opened = f"<{name}{said}>"
    return Html(opened if name in _VOID else f"{opened}{joined(*children)}</{name}>")


def joined(*children: str) -> Html:
    """Put children side by side."""
    return Html("".join(one if isinstance(one, Html) else escape(one) for one in children))


def commands(text: str) -> Html:
    """Show commands, one a line; a long one goes on further in, and is not broken within words."""
    lines = ([tag("i", word) for word in line.split(" ")] for line in text.splitlines())
    shown = (tag("span", Html(" ".join(words)), "\n") for words in lines)
    return tag("pre", tag("code", *shown))


def _attribute(key: str, value: str | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{escape(value)}"'
