"""Syntax trees as text: the same wherever the code does the same, on every Python."""

from __future__ import annotations

import ast
import hashlib
import textwrap

import pytest

from autolrs_cli.runner.code_version.syntax import canonical

SAMPLE = '''
"""A module of most that Python 3.11 can say."""
from __future__ import annotations
import a.b as c, d
from ..e import f as g, h
if TYPE_CHECKING:
    import never
else:
    import ever
x: int = 0x10
y = u"text" f"{x:>{y}.{z}}{x!r}{x=}" "\\x7f\\u0378", b"\\xff"
z = [1e3, 2j, None, ..., True, -1, *y, 10**3]
d = {**z, "k": (1,), 2: {3}}
@decorated(by=1)
class C(Base, metaclass=M):
    """A class."""
    field: float = 0.5
    """A field."""
    async def m(self, a, /, b=1, *args, c, d=2, **rest) -> int:
        """A method."""
        global q
        async with w as v, u: pass
        async for i in [j async for j in k if j]: yield (await i)
        return lambda *, s=1: (t := s)
    def n(self):
        nonlocal_ = not a < b <= c and d or e
        try: raise E from F
        except* (G, H) as error: del error.x, error[1:2, ::3]
        finally: assert x, "no"
        while 1:
            if x: break
            elif y: continue
            else: x += 1
match x:
    case {"k": [1, *rest], **others} | C(1, a=None) if y: ...
    case (None | True | "s" as t): pass
    case _: print(f"{x:%H:{{}}}" f"" "")
'''
# Of the text above, on every Python; another means that code versions of before and after cannot be compared.
SAMPLE_HASH = "70100ef4b0d275ed"


def text(source: str) -> str:
    return canonical(ast.parse(textwrap.dedent(source)).body)[0]


def test_a_sample_has_the_same_text_on_every_python() -> None:
    assert hashlib.sha256(text(SAMPLE).encode()).hexdigest()[:16] == SAMPLE_HASH


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1  # a comment"),
        ("x = f(1, 2)", "x = f(\n    1,\n    2,\n)"),
        ("x = 'a'", 'x = u"a"'),
        ("x = 16", "x = 0x10"),
        ('def f():\n    return "text"', 'def f():\n    """Say."""\n    return "text"'),
        ('class A:\n    x: int\n    """One."""', 'class A:\n    x: int\n    """Another."""'),
        ("def f(): pass", 'def f():\n    """Do nothing."""'),
        ('"""One."""\nx = 1', '"""Another."""\nx = 1'),
        ("if TYPE_CHECKING:\n    import a\nx = 1", "x = 1"),
        ("if typing.TYPE_CHECKING:\n    import a\nelse:\n    import b", "import b"),
    ],
)
def test_what_does_nothing_leaves_the_text(one: str, other: str) -> None:
    assert text(one) == text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'None'", "x = None"),
        ("x = 'a'", "x = b'a'"),
        ("def f(): return 1", "def g(): return 1"),
        ("def f(a, b): return a", "def f(b, a): return a"),
        ("def f(a, *, b): return a", "def f(a, b): return a"),
        ("f(a=b)", "f(b=a)"),
        ("f(*a)", "f(a)"),
        ("f([a, b], c)", "f([a], b, c)"),
        ("{**a, b: c}", "{a: c, **b}"),
        ("from a import b", "from a import c as b"),
        ("from a import b", "from .a import b"),
        ("x: int = 1", "x: float = 1"),
        ("x: int = 1", "(x): int = 1"),
        ("if x:\n    a()\nb()", "if x:\n    a()\n    b()"),
        ("if x:\n    a()\nelse:\n    b()", "if x:\n    a()\nif x:\n    b()"),
        ("f'{a}'", "f'{a!r}'"),
        ("f'{a:b}'", "f'{a}b'"),
        ("x = 'text'\ny = x", "x = 'other'\ny = x"),
        ("match x:\n    case None: a()", "match x:\n    case False: a()"),
        ("async def f(): return 1", "def f(): return 1"),
        ("[a for b in c]", "[a async for b in c]"),
        ("x = a if b else c", "x = b if a else c"),
        ("x = -1", "x = 1"),
        ("x = 0", "x = None"),
        ("def f(x=''): return x", "def f(x): return x"),
        ("return_ = x\nraise", "return_ = x\nraise x"),
    ],
)
def test_what_does_something_moves_it(one: str, other: str) -> None:
    assert text(one) != text(other)


def test_fields_that_only_newer_pythons_have_leave_it_while_they_are_empty() -> None:
    def function(**newer: object) -> str:
        node = ast.FunctionDef(
            name="f",
            args=ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]),
            body=[ast.Return(value=ast.Constant(value=1))],
            decorator_list=[],
        )
        for name, value in newer.items():
            setattr(node, name, value)
        return canonical([node])[0]

    assert function() == function(type_params=[]) == text("def f(): return 1")


def test_empty_texts_between_the_parts_of_an_f_string_which_python_3_12_has_leave_it() -> None:
    x = ast.Name(id="x", ctx=ast.Load())
    plain = ast.JoinedStr(values=[ast.FormattedValue(value=x, conversion=-1)])
    padded = ast.JoinedStr(values=[ast.Constant(value=""), *plain.values, ast.Constant(value="")])
    assert canonical([ast.Expr(value=plain)]) == canonical([ast.Expr(value=padded)])
    empty, padding = ast.JoinedStr(values=[]), ast.JoinedStr(values=[ast.Constant(value="")])
    assert canonical([ast.Expr(value=empty)]) == canonical([ast.Expr(value=padding)])


def test_imports_are_found_wherever_they_stand_but_for_type_checkers() -> None:
    _, found = canonical(
        ast.parse(
            "import a\nif TYPE_CHECKING:\n    import b\ntry:\n    from c import d\nexcept E:\n"
            "    def f():\n        import g"
        ).body
    )
    assert [ast.unparse(each) for each in found] == ["import a", "from c import d", "import g"]
