import os
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from vztmpl.build import recipe
from vztmpl.build.builder import bootstrapper_of
from vztmpl.build.parts import Stage
from vztmpl.build.programs import require_programs
from vztmpl.errors import ConfigError, NotFoundError, VztmplError
from vztmpl.settings import shipped

GOOD = """\
os = "tiny"
description = "Tiny {version} ({suite}) {arch} {set}"
bootstrapper = "mmdebstrap"
sets = ["minimal", "standard"]
include = ["common/piece.toml"]

[releases]
1 = "one"
2 = "two"

[architectures]
x86_64 = "amd64"
aarch64 = "arm64"

[[packages]]
install = ["init"]

[[packages]]
when = { set = "standard", release = ["2", "3"] }
install = ["less"]

[[files]]
path = "/etc/motd"
content = "hi"
mode = "0600"

[[scripts]]
at = "final"
run = "true"

[[services]]
when = { arch = "aarch64" }
enable = ["a.service"]
"""
PIECE = '[[services]]\nmask = ["b.mount"]\n[[packages]]\ninstall = ["first"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "common").mkdir()
    (tmp_path / "tiny.toml").write_text(GOOD)
    (tmp_path / "common/piece.toml").write_text(PIECE)
    return tmp_path


def problem(folder: Path, old: str, new: str) -> ConfigError:
    assert old in GOOD
    (folder / "tiny.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        recipe.resolve(folder, "tiny-2-x86_64-standard")
    return caught.value


def test_a_recipe_makes_a_matrix_of_templates(folder: Path) -> None:
    names = recipe.names(folder)
    assert len(names) == 8
    assert "tiny-2-aarch64-standard" in names


def test_one_cell_gets_what_its_filters_let_through(folder: Path) -> None:
    standard = recipe.resolve(folder, "tiny-2-aarch64-standard")
    assert standard.parts.packages == ["first", "init", "less"]
    assert standard.parts.enable == ["a.service"]
    assert standard.parts.mask == ["b.mount"]
    assert standard.description == "Tiny 2 (two) aarch64 standard"
    assert (standard.suite, standard.arch) == ("two", "arm64")
    assert (standard.parts.files[0].path, standard.parts.files[0].mode) == ("/etc/motd", 0o600)
    assert standard.parts.scripts[0].stage is Stage.FINAL
    minimal = recipe.resolve(folder, "tiny-1-x86_64-minimal")
    assert minimal.parts.packages == ["first", "init"]
    assert minimal.parts.enable == []
    assert recipe.resolve(folder, "tiny-1-x86_64-standard").parts.packages == ["first", "init"]


def test_a_mirror_given_by_hand_counts_more(folder: Path) -> None:
    assert recipe.resolve(folder, "tiny-1-x86_64-minimal").mirror == ""
    mirror = "http://mirror.example/tiny"
    assert recipe.resolve(folder, "tiny-1-x86_64-minimal", mirror=mirror).mirror == mirror


def test_the_digest_changes_with_what_the_recipe_says(folder: Path) -> None:
    before = recipe.resolve(folder, "tiny-1-x86_64-minimal").digest
    assert recipe.resolve(folder, "tiny-1-x86_64-minimal").digest == before
    (folder / "common/piece.toml").write_text(PIECE.replace("first", "other"))
    assert recipe.resolve(folder, "tiny-1-x86_64-minimal").digest != before


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('os = "tiny"', "os = ", "syntax: "),
        (
            "[releases]",
            '[[waive]]\nrule = "x"\nreason = "y"\n[releases]',
            "waive[1].rule: 'x' is no rule; `vztmpl lint --list`",
        ),
        (
            "[releases]",
            '[[waive]]\nrule = "log"\nreason = " "\n[releases]',
            "waive[1].reason: must",
        ),
        ("[releases]", '[[waive]]\nrule = "log"\n[releases]', "waive[1].reason: is required"),
        ('os = "tiny"', 'os = "other"', "os: must be 'tiny' like the file, not 'other'"),
        ('os = "tiny"\n', "", "os: is required"),
        ('"Tiny {version} ({suite}) {arch} {set}"', '"{nope}"', "description: may hold {os}"),
        ('"Tiny {version} ({suite}) {arch} {set}"', '"{"', "description: may hold {os}"),
        ('"Tiny {version} ({suite}) {arch} {set}"', '"{0}"', "description: may hold {os}"),
        ('["minimal", "standard"]', '"minimal"', "sets: must be a list, not 'minimal'"),
        ('["minimal", "standard"]', "[]", "releases, architectures, sets: must name at least one"),
        ('x86_64 = "amd64"', 'vax = "vax"', "releases, architectures, sets: 'tiny-1-vax-minimal'"),
        ('2 = "two"', "2 = 2", "releases.2: must be a string, not 2"),
        ('install = ["init"]', "install = [1]", "packages[1].install: must be a list of strings"),
        ('install = ["init"]', 'instal = ["init"]', "packages[1].instal: is not a known key"),
        ('set = "standard"', 'sets = "standard"', "packages[2].when.sets: is not a known key"),
        ('set = "standard"', "set = 1", "packages[2].when.set: must be a list, not 1"),
        ('2 = "two"', '2 = "--hook=x"', "releases: '--hook=x' is not a distribution's word"),
        ('arm64"', 'arm64\\nx"', "architectures: 'arm64\\nx' is not a distribution's word"),
        ("[releases]", 'mirror = "[trusted=yes] x:y"\n[releases]', "mirror: must be a URL"),
        ('install = ["init"]', 'install = ["-o=x"]', "packages[1].install: '-o=x' is not the name"),
        ('install = ["init"]', 'install = ["http://x/y"]', "packages[1].install: 'http://x/y'"),
        ('path = "/etc/motd"', 'path = "etc/motd"', "files[1].path: must be an absolute path"),
        ('path = "/etc/motd"', 'path = "/etc/../../x"', "files[1].path: must be an absolute path"),
        ('path = "/etc/motd"', 'path = "/etc/"', "files[1].path: must be an absolute path"),
        ('mode = "0600"', 'mode = "rw"', "files[1].mode: must be like '0644'"),
        ('mode = "0600"', 'mode = "-1"', "files[1].mode: must be like '0644'"),
        ('mode = "0600"', "mode = 600", "files[1].mode: must be a string, not 600"),
        ('content = "hi"\n', "", "files[1].content: is required"),
        ('path = "/etc/motd"', 'path = "/a\\u0000b"', "files[1].path: holds a character"),
        ('"common/piece.toml"', '"a\\u0000b"', "include: holds a character"),
        ('os = "tiny"', "os = " + "[" * 100_000, "syntax: is nested too deeply"),
        ('at = "final"', 'at = "last"', "scripts[1].at: must be one of bootstrap, packages, final"),
        ("[[services]]", "[[service]]", "service: is not a known key"),
        ("[[services]]", "[services]", "services: must be a list, not "),
    ],
)
def test_a_bad_recipe_says_where_it_is_bad(folder: Path, old: str, new: str, text: str) -> None:
    said = re.sub(r"(toml):\d+", r"\1", str(problem(folder, old, new)))
    assert said.startswith(f"{folder}/tiny.toml: {text}")


def test_a_misspelt_key_is_answered_with_the_nearest(folder: Path) -> None:
    assert problem(folder, "[[services]]", "[[service]]").hint == "did you mean `services`?"


def test_an_entry_is_checked_even_where_its_filter_keeps_it_out(folder: Path) -> None:
    error = problem(folder, 'enable = ["a.service"]', 'enabel = ["a.service"]')
    assert error.hint == "did you mean `enable`?"


def test_a_missing_piece_is_named(folder: Path) -> None:
    error = problem(folder, "common/piece.toml", "common/none.toml")
    assert str(error) == f"{folder}/tiny.toml:5: include: there is no {folder}/common/none.toml"


def test_pieces_that_include_each_other_are_refused(folder: Path) -> None:
    (folder / "common/piece.toml").write_text('include = ["other.toml"]\n')
    (folder / "common/other.toml").write_text('include = ["piece.toml"]\n')
    with pytest.raises(ConfigError, match=r"other\.toml:1: include: piece\.toml includes itself"):
        recipe.resolve(folder, "tiny-1-x86_64-minimal")


def test_a_recipe_that_includes_itself_is_refused(folder: Path) -> None:
    error = problem(folder, "common/piece.toml", "tiny.toml")
    assert str(error).endswith("include: tiny.toml includes itself")


def test_an_error_in_a_piece_names_the_piece(folder: Path) -> None:
    (folder / "common/piece.toml").write_text("[[scripts]]\nat = 1\n")
    with pytest.raises(
        ConfigError, match=r"common/piece\.toml:2: scripts\[1\]\.at: must be a string"
    ):
        recipe.resolve(folder, "tiny-1-x86_64-minimal")


@pytest.mark.parametrize(
    "name", ["tiny-3-x86_64-minimal", "tiny-1-x86_64", "huge-1-x86_64-minimal"]
)
def test_a_template_that_nobody_makes_is_answered_with_near_ones(folder: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match="no recipe makes") as caught:
        recipe.resolve(folder, name)
    assert "tiny-1-x86_64-minimal" in caught.value.hint


@pytest.mark.parametrize("name", recipe.names(shipped("recipes")))
def test_every_recipe_that_we_ship_could_be_built_with_its_keys(name: str, tmp_path: Path) -> None:
    found = recipe.resolve(shipped("recipes"), name)
    assert found.parts.packages
    here = replace(found, name=replace(found.name, arch=os.uname().machine))
    keys = [one.key for one in here.parts.repositories]
    keys += [one.key for one in here.parts.sources]
    lacking = any(key and not key.content for key in keys)
    with pytest.raises(ConfigError, match="key: there is no /") if lacking else nullcontext():
        bootstrapper_of(here, tmp_path).check(here)
    assert all(key.cure for key in keys if key)


def test_what_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(VztmplError, match="dnf is not installed") as caught:
        require_programs("dnf", "rpm")
    assert caught.value.hint == "apt-get install dnf rpm"
