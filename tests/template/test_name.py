import pytest

from vztmpl.errors import UsageError
from vztmpl.template.name import TemplateName


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("debian-13-x86_64", ("debian", "13", "x86_64", "")),
        ("debian-13-x86_64-minimal", ("debian", "13", "x86_64", "minimal")),
        ("opensuse-leap-15.6-aarch64-no-docs", ("opensuse-leap", "15.6", "aarch64", "no-docs")),
    ],
)
def test_a_name_comes_apart_and_together(text: str, parts: tuple[str, ...]) -> None:
    name = TemplateName.parse(text)
    assert (name.os, name.version, name.arch, name.set) == parts
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "debian", "debian-13", "debian-13-mips", "Debian-13-x86_64", "debian-13-x86_64-",
        "../debian-13-x86_64", "debian-13-x86_64/..", "debian-13-x86_64\n", "debian--x86_64",
        "a" * 100 + "-1-x86_64",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a template name"):
        TemplateName.parse(text)
