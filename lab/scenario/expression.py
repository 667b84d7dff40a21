"""The small language of conditions over axes, used by ``when``, ``require`` and ``--where``.

``user == "1000:0" and runtime in "runc>=1.0.0rc92,<1.1"`` — names are axes, ``==`` and ``!=`` compare values,
``in`` and ``not in`` match patterns (see :func:`lab.scenario.versions.matches`) or any of a list of them; ``and``,
``or``, ``not``, parentheses, ``true`` and ``false``. The grammar is a subset of Python's own, read with :mod:`ast`;
nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cache

from lab.errors import InputError
from lab.scenario.versions import matches

DEEPEST = 40
"""Levels of nesting that a condition may have."""

Condition = Callable[[Mapping[str, str]], bool]
"""A compiled condition over (axis → value). An axis that a cell does not have compares as the empty string."""


@cache
def compile_condition(text: str) -> Condition:
    """The condition that ``text`` states; raises :class:`InputError` that points at the fault."""
    stripped = text.strip()
    return _compile(_parse(stripped), stripped)


def axes_named(text: str) -> frozenset[str]:
    """The axes that a condition speaks of."""
    names = {node.id for node in ast.walk(_parse(text.strip())) if isinstance(node, ast.Name)}
    return frozenset(names - {"true", "false"})


def check_condition(text: str, axes: Collection[str]) -> str | None:
    """What is wrong with a condition over these axes, or ``None``."""
    try:
        compile_condition(text)({})
    except InputError as error:
        return f"{error.brief}: {error.details}" if error.details else error.brief
    unknown = sorted(axes_named(text) - set(axes))
    return f"no axis {unknown[0]!r} here (axes: {', '.join(axes)})" if unknown else None


def _parse(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of (a stray backslash) is no condition either
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise _fault(text, error.msg, error.offset or len(text) + 1) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise _fault(text, str(error) or "it is nested too deeply") from None


def _fault(text: str, what: str, column: int | None = None) -> InputError:
    where = f" at column {column}" if column else ""
    return InputError(
        f"{text!r:.200} is not a condition",
        details=f"{what}{where}",
        resolution="""write for example: user == "1000:0" and runtime in "runc>=1.0.0rc92,<1.1" """.strip(),
    )


def _fault_at(node: ast.expr, text: str, what: str) -> InputError:
    line = text.splitlines()[node.lineno - 1]
    return _fault(text, what, len(line.encode()[: node.col_offset].decode()) + 1)


def _compile(node: ast.expr, text: str, depth: int = 0) -> Condition:
    if depth > DEEPEST:
        raise _fault_at(node, text, "it is nested too deeply")
    match node:
        case ast.Name(id="true"):
            return lambda _: True
        case ast.Name(id="false"):
            return lambda _: False
        case ast.BoolOp(op=ast.And(), values=values):
            parts = [_compile(value, text, depth + 1) for value in values]
            return lambda axes: all(part(axes) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=values):
            parts = [_compile(value, text, depth + 1) for value in values]
            return lambda axes: any(part(axes) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _compile(operand, text, depth + 1)
            return lambda axes: not inner(axes)
        case ast.Compare(left=ast.Name(id=axis), ops=[operator], comparators=[right]):
            return _compare(axis, operator, right, text)
    raise _fault_at(node, text, 'expected a comparison such as user == "0:0", joined by and, or, not')


def _compare(axis: str, operator: ast.cmpop, right: ast.expr, text: str) -> Condition:
    values = _literals(right, text)
    match operator:
        case ast.Eq() | ast.NotEq() if isinstance(right, ast.Constant):
            wanted, same = values[0], isinstance(operator, ast.Eq)
            return lambda axes: (axes.get(axis, "") == wanted) is same
        case ast.In() | ast.NotIn():
            inside = isinstance(operator, ast.In)
            for value in values:
                matches(value, "")  # a malformed range is a fault now, not at the first cell
            return lambda axes: any(matches(value, axes.get(axis, "")) for value in values) is inside
    raise _fault_at(right, text, "expected ==, != with a string, or in, not in with a string or a list")


def _literals(node: ast.expr, text: str) -> tuple[str, ...]:
    match node:
        case ast.Constant(value=str(value)):
            return (value,)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return tuple(literal for element in elements for literal in _literals(element, text))
    raise _fault_at(node, text, "expected a string in quotes, or a list of them")
