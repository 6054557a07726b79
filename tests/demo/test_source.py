"""What the census says of one file, on sources small enough to count by hand."""

import ast
import sys
import textwrap
from pathlib import Path

import pytest

from dask_dispatcher.demo import files, source


def outline(text: str) -> source.Outline:
    return source.parse(textwrap.dedent(text), "made_up.py")


def measure(text: str) -> source.Measure:
    text = textwrap.dedent(text)
    return source.measure(text, source.parse(text, "made_up.py"), "made_up")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"name = 'caf\xc3\xa9'\n", "name = 'café'\n"),
        (b"# coding: latin-1\nname = 'caf\xe9'\n", "# coding: latin-1\nname = 'café'\n"),
        (b"\xef\xbb\xbfx = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
        (b"", ""),
    ],
    ids=["utf-8", "coding line", "byte-order mark and CRLF", "empty"],
)
def test_read_decodes_as_python_does(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "some.py"
    path.write_bytes(content)
    assert source.read(str(path)) == text


def test_the_broken_files_fail_in_their_own_way(tmp_path: Path) -> None:
    by_name = {file.name: file for file in files.write_broken_files(tmp_path)}
    assert all(file.broken for file in by_name.values())
    with pytest.raises(UnicodeDecodeError):
        source.read(by_name["broken/bad_encoding.py"].path)
    text = source.read(by_name["broken/syntax_error.py"].path)
    with pytest.raises(SyntaxError, match=r"line 1"):
        source.parse(text, "syntax_error.py")
    text = source.read(by_name["broken/null_byte.py"].path)
    with pytest.raises((SyntaxError, ValueError), match="null bytes"):
        source.parse(text, "null_byte.py")


def test_lines_and_code_lines() -> None:
    found = measure('''\
        #!/usr/bin/env python
        """Docstring
        # of two lines."""

        import os  # counts

        # does not
        text = """
        # in a string: counts

        end"""


        def f():
            "One line, does not count."
            return f"""{
                text}
            # counts"""


        class C:
            """Does not count."""
    ''')
    assert found["lines"] == 22
    assert found["code"] == 9
    assert (found["functions"], found["classes"]) == (1, 1)


@pytest.mark.parametrize(
    ("text", "lines"), [("", 0), ("x = 1", 1), ("x = 1\n", 1), ("x = 1\n\n", 2), ("\f\nx = 1\n", 2)]
)
def test_lines_are_counted_as_editors_do(text: str, lines: int) -> None:
    assert source.measure(text, source.parse(text, "x.py"), "x")["lines"] == lines


def test_a_first_number_or_bytes_is_no_docstring() -> None:
    assert measure("1\n")["code"] == 1
    assert measure("b'bytes'\n")["code"] == 1


def test_depth_counts_the_blocks_around_a_statement() -> None:
    assert measure("x = 1")["depth"] == 0
    assert measure("if x: y = 1")["depth"] == 1
    found = measure("""
        class C:
            async def f(self):
                for x in y:
                    async with x:
                        try:
                            match x:
                                case 1:
                                    pass
                        finally:
                            pass
    """)
    assert found["depth"] == 6


@pytest.mark.skipif(sys.version_info < (3, 11), reason="except* came with Python 3.11")
def test_exception_groups_are_blocks() -> None:
    assert measure("try: pass\nexcept* ValueError: pass")["depth"] == 1


def test_elif_is_no_deeper_than_if_but_an_if_in_else_is() -> None:
    elifs = """
        if a: pass
        elif b: pass
        elif c: pass
        else: pass
    """
    in_else = """
        if a:
            pass
        else:
            if b:
                pass
    """
    assert measure(elifs)["depth"] == 1
    assert measure(elifs)["branches"] == 3
    assert measure(in_else)["depth"] == 2


@pytest.mark.parametrize(
    ("body", "forks"),
    [
        ("return 1", 0),
        ("return a and b and c", 2),
        ("return a if b else c", 1),
        ("return [x for x in y if x if not x]", 3),
        ("while a: pass", 1),
        ("assert a or b", 2),
        ("try: pass\n    except A: pass\n    except B: pass", 2),
        ("match a:\n        case 1: pass\n        case _: pass", 2),
        ("async for x in y: pass", 1),
        ("return lambda: a or b", 1),
    ],
)
def test_branches_of_a_function(body: str, forks: int) -> None:
    (function,) = outline(f"async def f():\n    {body}\n")["functions"]
    assert function["branches"] == 1 + forks


def test_a_nested_function_has_its_own_branches_and_full_name() -> None:
    found = outline("""\
        class C:
            @decorator
            def outer(self):
                if a:
                    def inner():
                        if b: pass
                        if c: pass
    """)
    assert found["functions"] == [
        {"name": "C.outer", "line": 3, "lines": 5, "branches": 2},
        {"name": "C.outer.inner", "line": 5, "lines": 3, "branches": 3},
    ]
    assert found["branches"] == 3


def test_the_longest_function() -> None:
    found = measure("""
        def short(): pass
        def long():
            a
            b
        def middle():
            a
    """)
    assert found["longest"] == {"name": "long", "line": 3, "lines": 3, "branches": 1}
    assert measure("x = 1")["longest"] is None


def test_when_an_import_runs() -> None:
    found = outline("""\
        import a
        try:
            import b
        except ImportError:
            b = None
        if TYPE_CHECKING:
            import c
        else:
            import d
        if typing.TYPE_CHECKING:
            from .. import e
        def f():
            from x.y import g as h, i
        class C:
            import j
        if __name__ == "__main__":
            import k
    """)
    when = {
        name: each["when"] for each in found["imports"] for name in each["names"] or [each["base"]]
    }
    assert when == {
        **dict.fromkeys("abdj", "at_import"),
        **dict.fromkeys("gik", "deferred"),
        **dict.fromkeys("ce", "typing"),
    }
    assert {"base": "", "names": ["e"], "level": 2, "when": "typing"} in found["imports"]


def test_parse_does_not_recurse() -> None:
    terms = sys.getrecursionlimit() * 2
    tree = ast.parse("+".join(["a"] * terms))  # Python itself can
    assert isinstance(tree, ast.Module)
    assert outline("x = " + "+".join(["(a or b)"] * terms))["branches"] == terms


def test_parse_keeps_the_files_own_warnings_to_itself(recwarn: pytest.WarningsRecorder) -> None:
    outline(r"pattern = '\d'")
    assert not recwarn.list
