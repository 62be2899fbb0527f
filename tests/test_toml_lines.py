"""Lines of keys: every key that the parser sees has one, and it is the right one."""

import textwrap

import pytest
import tomli

from yakt.toml_lines import TomlPath, key_lines


def paths_of(value: object, path: TomlPath = ()) -> list[TomlPath]:
    """Every table, key and element of a parsed document."""
    inner: list[TomlPath] = []
    if isinstance(value, dict):
        inner = [found for key, part in value.items() for found in paths_of(part, (*path, key))]
    elif isinstance(value, list):
        inner = [found for index, part in enumerate(value) for found in paths_of(part, (*path, index))]
    return [path, *inner] if path else inner


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = 1", {("a",): 1}),
        ("\n# a = 0\na = 1 # b = 2\n", {("a",): 3}),
        ("[t]\nx = 1\n[t.u]\ny.z = 1.5", {("t",): 1, ("t", "x"): 2, ("t", "u"): 3, ("t", "u", "y", "z"): 4}),
        ('[t]\n"a.b" = 1\n\'c]\' = 2\n"\\u0064" = 3', {("t", "a.b"): 2, ("t", "c]"): 3, ("t", "d"): 4}),
        (
            "a = [\n  { id = 1, at = 'x' },\n  # { id = 0 }\n  { id = 2, at = 'y,}]' }, [3,\n4]]\nb = 2",
            {("a", 0): 2, ("a", 0, "at"): 2, ("a", 1, "at"): 4, ("a", 2): 4, ("a", 2, 1): 5, ("b",): 6},
        ),
        ("[[n]]\nx = 1\n[[n]]\nx = 2\n[n.m]\ny = 1", {("n", 0, "x"): 2, ("n", 1, "x"): 4, ("n", 1, "m", "y"): 6}),
        ("[[n]]\n[[n.o]]\nx = 1\n[[n.o]]\nx = 2\n[[n]]\n[[n.o]]", {("n", 0, "o", 1, "x"): 5, ("n", 1, "o", 0): 7}),
        ('s = """\n[x]\ny = 1"""\nt = \'\'\'\nz = "\'\'\'\nu = 1', {("s",): 1, ("t",): 4, ("u",): 6}),
        ('s = """a\\"""\nb""""\nu = 1', {("s",): 1, ("u",): 3}),
        ("d = 1979-05-27 07:32:00.5\ne = [1979-05-27, 1_000, -inf]\nf = {}", {("d",): 1, ("e", 2): 2, ("f",): 3}),
        ("a = 1\r\n[b]\r\nc = 2\r\n", {("a",): 1, ("b",): 2, ("b", "c"): 3}),
    ],
)
def test_lines(text: str, lines: dict[TomlPath, int]) -> None:
    found = key_lines(text)
    assert set(found) == set(paths_of(tomli.loads(text)))
    assert {path: found[path] for path in lines} == lines


def test_deep_nesting_ends() -> None:
    text = textwrap.dedent("x = ") + "[" * 50 + "]" * 50
    assert key_lines(text)[("x", *[0] * 49)] == 1
