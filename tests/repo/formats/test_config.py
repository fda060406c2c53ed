from pathlib import Path

import pytest

from vztmpl.errors import ConfigError
from vztmpl.repo.formats.config import Format, Publishing


def test_without_a_file_nothing_is_asked_for(tmp_path: Path) -> None:
    assert Publishing.load(tmp_path) == Publishing()


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    said = Publishing(
        formats=(Format.LXC, Format.OCI),
        push="docker://registry.example.org/os",
        title='The "best" templates',
        url="https://templates.example.org/tree",
    )
    said.save(tmp_path)
    assert Publishing.load(tmp_path) == said
    Publishing().save(tmp_path)
    assert Publishing.load(tmp_path) == Publishing()


def test_a_slash_at_the_end_of_an_address_makes_no_difference(tmp_path: Path) -> None:
    lines = ('formats = ["oci"]', 'push = "docker://x.example/os/"', 'url = "https://y.example/"')
    (tmp_path / "repository.toml").write_text("\n".join(["[publish]", *lines]))
    said = Publishing.load(tmp_path)
    assert (said.push, said.url) == ("docker://x.example/os", "https://y.example")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[publish", "syntax"),
        ("[publish]\nformat = []", "publish.format: is not a known key"),
        ('[publish]\nformats = ["lcx"]', "formats: 'lcx' is not a format"),
        ('[publish]\nformats = "lxc"', "publish.formats: must be a list"),
        ('[publish]\nformats = ["oci"]\npush = "ftp://x/y"', "push: 'ftp://x/y' can't be used"),
        ('[publish]\nformats = ["oci"]\npush = "docker://[x"', "push: "),
        ('[publish]\npush = "docker://x/y"', "push: what is pushed is the oci format"),
        ('[publish]\nurl = "javascript:alert(1)"', "url: "),
        ('[publish]\nurl = "https://x/\'"', "url: "),
    ],
)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "repository.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"repository\.toml: ") as caught:
        Publishing.load(tmp_path)
    assert problem in str(caught.value)
