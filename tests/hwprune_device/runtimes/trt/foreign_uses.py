"""Which names of a foreign library a file uses, told from its text.

Whatever is not plainly ours counts as foreign: a value is ours when it comes of a literal, of an
import from elsewhere, of one of the file's own classes, or is annotated with anything but `Any`.
What comes of `importlib.import_module`, of an `Any`, or of something foreign, is foreign.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

PASSING_ON = frozenset(
    {"list", "tuple", "sorted", "iter", "next", "enumerate", "zip", "reversed", "map", "filter"}
    | {"set", "dict", "min", "max"}
)
"""Builtins that give back what they were given."""
Scope = dict[str, bool]
"""Names, and whether they are foreign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A name looked up on something foreign, or overridden in a class that derives from it."""

    name: str
    kind: Literal["call", "read", "write", "override"]
    place: str
    keywords: frozenset[str] = frozenset()
    positional: int | None = None
    """Arguments without a keyword, of an override parameters; None where it cannot be told."""


@dataclass(slots=True)
class _Class:
    foreign_base: bool
    attributes: Scope = field(default_factory=dict)


class ForeignUses:
    """The foreign uses of one file.

    Args:
        text: the file.
        name: for the places of uses.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._tree = ast.parse(text)
        self._returns: Scope = {}
        self._module: Scope = {}
        self._found: dict[tuple[int, int, str, str], Use] = {}
        self._class: _Class | None = None
        self._classes: dict[ast.ClassDef, _Class] = {}

    def uses(self) -> list[Use]:
        """In the file's order."""
        self._learn_module()
        # Fields may be set after the methods that read them, so everything is walked twice.
        for _ in range(2):
            self._found.clear()
            self._block(self._tree.body, self._module)
        return [self._found[key] for key in sorted(self._found)]

    def _learn_module(self) -> None:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    self._module[(alias.asname or alias.name).split(".")[0]] = False
            elif isinstance(node, ast.FunctionDef):
                self._returns[node.name] = _is_any(node.returns)
            elif isinstance(node, ast.ClassDef):
                self._module.setdefault(node.name, False)
        for node in self._tree.body:
            if isinstance(node, ast.FunctionDef):
                self._module[node.name] = False

    def _block(self, body: list[ast.stmt], scope: Scope) -> None:
        for statement in body:
            self._statement(statement, scope)

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        match node:
            case ast.FunctionDef():
                scope[node.name] = False
                self._function(node, scope)
            case ast.ClassDef():
                self._class_body(node, scope)
            case ast.Assign():
                for target in node.targets:
                    self._assign(target, node.value, scope)
            case ast.AnnAssign():
                foreign = node.value is not None and self._is_foreign(node.value, scope)
                self._bind(node.target, _is_any(node.annotation) or foreign, scope)
            case ast.For():
                self._bind(node.target, self._is_foreign(node.iter, scope), scope)
                self._block(node.body + node.orelse, scope)
            case ast.With():
                for item in node.items:
                    foreign = self._is_foreign(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, foreign, scope)
                self._block(node.body, scope)
            case _:
                self._parts(node, scope)

    def _parts(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._is_foreign(child, scope)
            elif isinstance(child, ast.stmt):
                self._statement(child, scope)
            else:
                self._parts(child, scope)

    def _function(self, node: ast.FunctionDef, outer: Scope) -> None:
        scope = dict(outer)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in every:
            unknown = argument.annotation is None and argument.arg not in ("self", "cls")
            scope[argument.arg] = unknown or _is_any(argument.annotation)
        self._block(node.body, scope)

    def _class_body(self, node: ast.ClassDef, scope: Scope) -> None:
        foreign = any([self._is_foreign(base, scope) for base in node.bases])
        scope[node.name] = False
        outer = self._class
        self._class = self._classes.setdefault(node, _Class(foreign))
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                plain = not any(_is_property(mark) for mark in statement.decorator_list)
                self._class.attributes[statement.name] = not plain and _is_any(statement.returns)
                if foreign and not statement.name.startswith("_"):
                    self._overrides(statement)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                self._class.attributes[statement.target.id] = _is_any(statement.annotation)
        self._block(node.body, dict(scope))
        self._class = outer

    def _overrides(self, node: ast.FunctionDef) -> None:
        self._add(node, node.name, "override", positional=len(node.args.args) - 1)

    def _assign(self, target: ast.expr, value: ast.expr, scope: Scope) -> None:
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        for one, its in pairs:
            self._bind(one, self._is_foreign(its, scope), scope)

    def _bind(self, target: ast.expr, foreign: bool, scope: Scope) -> None:
        match target:
            case ast.Name():
                scope[target.id] = foreign
            case ast.Tuple() | ast.List():
                for part in target.elts:
                    self._bind(part, foreign, scope)
            case ast.Attribute(value=ast.Name(id="self")) if self._class is not None:
                known = self._class.attributes.get(target.attr, False)
                self._class.attributes[target.attr] = known or foreign
            case ast.Attribute():
                if self._is_foreign(target.value, scope):
                    self._add(target, target.attr, "write")
            case _:
                self._parts(target, scope)

    def _is_foreign(self, node: ast.expr, scope: Scope) -> bool:
        match node:
            case ast.Name():
                return scope.get(node.id, not hasattr(builtins, node.id))
            case ast.Attribute():
                return self._attribute(node, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                inner = self._comprehension(node.generators, scope)
                return self._is_foreign(node.elt, inner)
            case ast.DictComp():
                inner = self._comprehension(node.generators, scope)
                return self._is_foreign(node.value, inner) or self._is_foreign(node.key, inner)
            case ast.List() | ast.Tuple() | ast.Set():
                return any([self._is_foreign(part, scope) for part in node.elts])
            case ast.Dict():
                keys = [self._is_foreign(key, scope) for key in node.keys if key is not None]
                return any([*keys, *(self._is_foreign(value, scope) for value in node.values)])
            case ast.IfExp():
                self._is_foreign(node.test, scope)
                return any([self._is_foreign(part, scope) for part in (node.body, node.orelse)])
            case ast.BoolOp():
                return any([self._is_foreign(part, scope) for part in node.values])
            case ast.Subscript():
                self._is_foreign(node.slice, scope)
                return self._is_foreign(node.value, scope)
            case ast.Starred():
                return self._is_foreign(node.value, scope)
            case ast.NamedExpr():
                foreign = self._is_foreign(node.value, scope)
                self._bind(node.target, foreign, scope)
                return foreign
            case _:
                self._parts(node, scope)
                return False

    def _comprehension(self, generators: list[ast.comprehension], outer: Scope) -> Scope:
        scope = dict(outer)
        for generator in generators:
            self._bind(generator.target, self._is_foreign(generator.iter, scope), scope)
            for test in generator.ifs:
                self._is_foreign(test, scope)
        return scope

    def _attribute(self, node: ast.Attribute, scope: Scope, *, called: bool = False) -> bool:
        if isinstance(node.value, ast.Name) and node.value.id == "self" and self._class:
            if node.attr in self._class.attributes:
                return self._class.attributes[node.attr]
            if not self._class.foreign_base:
                return False
        elif not self._is_foreign(node.value, scope):
            return False
        if not called:
            self._add(node, node.attr, "read")
        return True

    def _call(self, node: ast.Call, scope: Scope) -> bool:
        if isinstance(node.func, ast.IfExp):
            self._is_foreign(node.func.test, scope)
        given = any([self._is_foreign(argument, scope) for argument in node.args])
        for keyword in node.keywords:
            self._is_foreign(keyword.value, scope)
        results = [self._called(func, node, scope, given) for func in _functions(node.func)]
        return any(results)

    def _called(self, func: ast.expr, node: ast.Call, scope: Scope, given: bool) -> bool:
        if isinstance(func, ast.Attribute):
            if ast.unparse(func) == "importlib.import_module":
                return True
            if not self._attribute(func, scope, called=True):
                own = isinstance(func.value, ast.Name) and func.value.id == "self"
                return own and self._returns.get(func.attr, False)
            starred = any(isinstance(argument, ast.Starred) for argument in node.args)
            self._add(
                func,
                func.attr,
                "call",
                keywords=frozenset(keyword.arg or "**" for keyword in node.keywords),
                positional=None if starred else len(node.args),
            )
            return True
        if isinstance(func, ast.Name):
            if func.id in ("getattr", "hasattr", "setattr") and given:
                literal = node.args[1]
                name = literal.value if isinstance(literal, ast.Constant) else "any name at all"
                self._add(node, str(name), "read")
                return True
            if func.id in PASSING_ON:
                return given
            # A function from another file may give back what it was given.
            passed = given and func.id in scope and func.id[0].islower()
            return self._returns.get(func.id, scope.get(func.id, False) or passed)
        return self._is_foreign(func, scope)

    def _add(
        self,
        node: ast.AST,
        name: str,
        kind: Literal["call", "read", "write", "override"],
        *,
        keywords: frozenset[str] = frozenset(),
        positional: int | None = None,
    ) -> None:
        if name == "__init__":
            return
        line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
        self._found[line, column, name, kind] = Use(
            name=name,
            kind=kind,
            place=f"{self._name}:{line}",
            keywords=keywords,
            positional=positional,
        )


def _functions(func: ast.expr) -> Iterator[ast.expr]:
    """What may be called: `(a if x else b)(...)` calls one or the other."""
    if isinstance(func, ast.IfExp):
        yield from (func.body, func.orelse)
    else:
        yield func


def _is_any(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return False
    return any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(annotation))


def _is_property(mark: ast.expr) -> bool:
    return isinstance(mark, ast.Name) and mark.id == "property"
