import pytest

from vztmpl.errors import UsageError
from vztmpl.template.name import TemplateName, the_one


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


def test_a_name_without_its_set_means_the_only_set_there_is() -> None:
    one = ["debian-13-x86_64-minimal", "debian-12-x86_64", "alpine-3.20-x86_64-a-b"]
    assert the_one("debian-13-x86_64", one) == "debian-13-x86_64-minimal"
    assert the_one("debian-12-x86_64", [*one, "debian-12-x86_64-minimal"]) == "debian-12-x86_64"
    assert the_one("alpine-3.20-x86_64", one) == "alpine-3.20-x86_64-a-b"
    for wanted in ("debian-13-x86", "debian-13", "alpine-3.20-x86_64-a", ""):
        assert the_one(wanted, one) == ""
    assert the_one("debian-13-x86_64", [*one, "debian-13-x86_64-standard"]) == ""
