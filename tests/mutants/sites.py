"""Small faults that can be put into a module: which there are, and the source with one of them in it.

A fault is named by where it stands (module, function, which of its kind there), not by its line: as long as a
function stays as it is, so do its faults, and which of them a seed chooses.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Mutant", "choose", "faults", "faulty_source", "like"]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "abs": "float"}
# Words for people, annotations and what is decided when a class is made: a fault there is no fault of ours.
PASSED_OVER = {"annotation", "returns", "decorator_list", "type_params", "bases"}


@dataclass(frozen=True)
class Mutant:
    """One fault: ``start``:``end`` are the characters of the module's source that become ``after``."""

    module: str  # relative to the tree
    function: str
    kind: str
    line: int
    start: int
    end: int
    before: str
    after: str
    name: str  # 16 letters that stay the same while the function does


def faults(tree: Path, rooms: list[str]) -> list[Mutant]:
    """All faults of the modules of ``rooms``."""
    return [
        mutant
        for room in rooms
        for path in sorted((tree / room).rglob("*.py"))
        if path.parent.name != "tiny_clip"  # how its weights were made, which no test does again
        for mutant in _faults(path.read_text(), path.relative_to(tree).as_posix())
    ]


def choose(mutants: list[Mutant], number: int, seed: int) -> list[Mutant]:
    """``number`` of them, or all there are."""

    def place(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).digest()

    return sorted(mutants, key=place)[:number]


def like(earlier: list[dict[str, Any]], mutants: list[Mutant]) -> list[Mutant]:
    """Those of an earlier run that are still there, in a module of another name maybe."""
    named = {mutant.name: mutant for mutant in mutants}
    placed = {(mutant.function, mutant.kind, mutant.before): mutant for mutant in reversed(mutants)}
    found = [
        named.get(each["name"]) or placed.get((each["function"], each["kind"], each["before"]))
        for each in earlier
    ]
    return list(dict.fromkeys(filter(None, found)))


def faulty_source(source: str, mutant: Mutant) -> str:
    """The module with the fault in it."""
    return source[: mutant.start] + mutant.after + source[mutant.end :]


def _faults(source: str, module: str) -> Iterator[Mutant]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.splitlines()

    def character(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    counted: Counter[tuple[str, str, str]] = Counter()
    for node, function in _nodes(ast.parse(source), ""):
        for kind, after in _variants(node):
            before = ast.unparse(node)
            identity = (function, kind, before)
            counted[identity] += 1
            name = hashlib.sha256("\0".join([module, *identity, str(counted[identity])]).encode())
            yield Mutant(
                module=module,
                function=function,
                kind=kind,
                line=node.lineno,
                start=character(node.lineno, node.col_offset),
                end=character(node.end_lineno or node.lineno, node.end_col_offset or 0),
                before=before,
                after=after,
                name=name.hexdigest()[:16],
            )


def _nodes(node: ast.AST, function: str) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Statements and expressions that do something, each with the name of the function around it."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = f"{function}.{node.name}" if function else node.name
    elif isinstance(node, (ast.expr, ast.stmt)):
        yield node, function
    if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for field, value in ast.iter_fields(node):
        if field in PASSED_OVER or (isinstance(node, ast.Raise) and field in ("exc", "cause")):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child, function)


def _variants(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    """(kind, source) of each fault of this very node, not of those inside it."""

    def put(kind: str, *changes: tuple[str, object]) -> tuple[str, str]:
        copied = ast.parse(ast.unparse(node), mode="eval").body
        for field, value in changes:
            setattr(copied, field, value)
        return kind, f"({ast.unparse(copied)})"

    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield put("comparison", ("ops", [COMPARISONS[type(operator)]()]))
        case ast.BinOp(op=operator) if type(operator) in OPERATORS and not _is_text(node):
            yield put("operator", ("op", OPERATORS[type(operator)]()))
        case ast.BoolOp(op=operator):
            yield put("and/or", ("op", ast.Or() if isinstance(operator, ast.And) else ast.And()))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign", f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield "truth", str(not value)
        case ast.Constant(value=int() | float() as value):
            yield "number", f"({value + 1!r})"
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield put("call", ("func", ast.Name(CALLS[name])))
        case ast.IfExp(body=body, orelse=otherwise):
            yield put("if/else", ("body", otherwise), ("orelse", body))
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield "left out", "pass"
        case ast.Break():
            yield "loop", "continue"
        case ast.Continue():
            yield "loop", "break"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "returns nothing", "return None"


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.JoinedStr) or _is_string(side) for side in (node.left, node.right))


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
