import pytest

from vztmpl.errors import ConfigError
from vztmpl.table import Table


def take(data: dict[str, object], key: str, kind: type) -> object:
    return Table(data, "some.toml").take(key, kind)


@pytest.mark.parametrize(
    ("data", "kind", "problem"),
    [
        ({}, str, "some.toml: key: is required"),
        ({"key": 1}, str, "some.toml: key: must be a string, not 1"),
        ({"key": "1"}, int, "some.toml: key: must be a whole number, not '1'"),
        ({"key": True}, int, "some.toml: key: must be a whole number, not True"),
        ({"key": 1}, bool, "some.toml: key: must be true or false, not 1"),
        ({"key": {}}, list, "some.toml: key: must be a list, not {}"),
        ({"key": []}, dict, "some.toml: key: must be a table, not []"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key(
    data: dict[str, object], kind: type, problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        take(data, "key", kind)
    assert str(caught.value) == problem


def test_a_misspelt_key_is_named_with_the_nearest_known_one() -> None:
    table = Table({"packges": []}, "some.toml", "piece.")
    table.strings("packages")
    with pytest.raises(
        ConfigError, match=r"some.toml: piece\.packges: is not a known key"
    ) as caught:
        table.done()
    assert caught.value.hint == "did you mean `packages`?"


def test_a_strange_key_is_answered_with_all_known_ones() -> None:
    table = Table({"zzz": 1}, "some.toml")
    table.take("one", int, 1)
    table.take("two", int, 2)
    with pytest.raises(ConfigError) as caught:
        table.done()
    assert caught.value.hint == "known: one, two"


def test_lists_hold_strings_only() -> None:
    with pytest.raises(ConfigError, match="must be a list of strings"):
        Table({"key": ["a", 1]}, "x").strings("key")


def test_one_string_is_as_good_as_a_list_of_one() -> None:
    assert Table({"key": "a"}, "x").one_or_more("key") == ("a",)
    assert Table({"key": ["a", "b"]}, "x").one_or_more("key") == ("a", "b")
    assert Table({}, "x").one_or_more("key") == ()


def test_an_error_in_a_list_of_tables_says_in_which() -> None:
    with pytest.raises(ConfigError, match=r"x: files\[2\]\.path: is required"):
        for one in Table({"files": [{"path": "/a"}, {}]}, "x").tables("files"):
            one.take("path", str)


def test_a_list_of_tables_holds_tables_only() -> None:
    with pytest.raises(ConfigError, match="must be a list of tables"):
        list(Table({"files": ["a"]}, "x").tables("files"))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_string_that_no_path_or_program_can_take_is_refused(text: str) -> None:
    for table in (Table({"key": text}, "x"), Table({"key": [text]}, "x")):
        with pytest.raises(ConfigError, match="x: key: holds a character that can't be used"):
            table.one_or_more("key")
    with pytest.raises(ConfigError, match="can't be used"):
        take({"key": text}, "key", str)
