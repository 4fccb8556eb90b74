"""The files of a configuration directory: what is read, in which order, and what is refused with which words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.server.config.document import MAX_FILE_BYTES, MAX_FILES, ConfigError, parse, read_folder


def test_files_are_read_in_lexical_order(tmp_path: Path) -> None:
    """JSON and YAML alike; hidden files and other suffixes are left alone, an empty file says nothing."""
    (tmp_path / "b.yaml").write_text("ports:\n  http: 1\n")
    (tmp_path / "a.json").write_text('{"node_name": "n"}')
    (tmp_path / "c.yml").write_text("")
    (tmp_path / ".hidden.json").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    files = read_folder(tmp_path)
    assert [(file.path.name, file.values) for file in files] == [
        ("a.json", {"node_name": "n"}),
        ("b.yaml", {"ports": {"http": 1}}),
        ("c.yml", {}),
    ]


def test_one_file_is_a_folder_of_one(tmp_path: Path) -> None:
    """`--config-dir FILE` reads just that file."""
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("broken")
    assert len(read_folder(tmp_path / "a.json")) == 1


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "line 1: not JSON"),
        ("a.json", "[]", "one object"),
        ("a.json", '{"a": 1, "a": 2}', "a: given twice"),
        ("a.json", '{"a": NaN}', "NaN is not JSON"),
        ("a.json", "[" * 100_000, "too deeply"),
        ("a.json", '{"a": ' * 40 + "1" + "}" * 40, "deeper than 32"),
        ("a.yaml", "a: 1\na: 2\n", "line 2: a: given twice"),
        ("a.yaml", "1: 2\n", "no text"),
        ("a.yaml", "a: &x [1]\nb: *x\n", "aliases"),
        ("a.yaml", "a: [\n", "not YAML"),
        ("a.yaml", "a: !!python/object:os.system x\n", "not YAML"),
        ("a.yaml", "- 1\n", "one object"),
        ("a.hcl", "node_name = 1", "HCL is not read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    """The text begins with the file and says what to change."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_folder(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert says in str(caught.value)


def test_sizes_are_bounded(tmp_path: Path) -> None:
    """Neither one huge file nor a huge number of files is read."""
    (tmp_path / "a.json").write_text(" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="split it"):
        read_folder(tmp_path)
    (tmp_path / "a.json").unlink()
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(ConfigError, match="at most 1024"):
        read_folder(tmp_path)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_an_object_or_the_writers_error(data: bytes, is_json: bool) -> None:
    """Nothing else is ever raised."""
    try:
        value = parse(data, is_json=is_json)
    except ConfigError:
        return
    assert isinstance(value, dict)
