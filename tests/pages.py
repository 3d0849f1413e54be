"""Parts of pages that are made from the code: `python -m tests.pages` writes them again.

A part stands between two comments, `<!-- made by python -m tests.pages: NAME -->` and
`<!-- end -->`; what is around it is written by hand.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import hwprune
from hwprune.board import PROFILE_KEYS, Board
from hwprune.budget import QUANTITIES
from hwprune.budget_settings import LimitSettings
from hwprune.data_settings import DataSettings
from hwprune.deployment import USUAL, BoardSettings, DeliverySettings, NetworkSettings
from hwprune.errors import EXIT_CODES
from hwprune.recipe import Recipe
from hwprune.search_settings import SearchSettings
from hwprune.task_settings import TaskSettings
from hwprune.width_limit import WidthLimit
from hwprune_device.job import Protocol, Target
from hwprune_device.range import Range

ROOT = Path(__file__).parent.parent
_PART = re.compile(
    r"(<!-- made by python -m tests\.pages: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL
)
SECTIONS: dict[str, type] = {
    "network": NetworkSettings,
    "task": TaskSettings,
    "data": DataSettings,
    "board": BoardSettings,
    "search": SearchSettings,
    "training": Recipe,
    "finetune": Recipe,
    "delivery": DeliverySettings,
}
"""Of a deployment file, but [budget], whose keys are quantities and kinds of boards."""


def pages() -> Iterator[Path]:
    """Pages that have such a part."""
    for folder in ("hwprune", "devices", "profiles"):
        for page in sorted((ROOT / folder).rglob("*.md")):
            if _PART.search(page.read_text(encoding="utf-8")):
                yield page


def renewed(text: str) -> str:
    """A page with its parts made again."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n\n{part[3]}", text)


def deployment_keys() -> str:
    """Every section of a deployment file but [budget]."""
    parts = []
    for name, noun in SECTIONS.items():
        usual = USUAL.get(name, {})
        parts.append(f"### [{name}]\n\n{first_sentence(noun)}\n\n{key_table(noun, usual)}")
        if noun is SearchSettings:
            title = '### [search.limits."PATTERN"]'
            parts.append(f"{title}\n\n{first_sentence(WidthLimit)}\n\n{key_table(WidthLimit)}")
    return "\n\n".join(parts)


def budget_keys() -> str:
    """What a budget may limit, and what a limit may say."""
    quantities = table(("key", "limits"), ((f"`{k}`", words) for k, words in QUANTITIES.items()))
    return f"{quantities}\n\n{first_sentence(LimitSettings)}\n\n{key_table(LimitSettings)}"


def profile_keys() -> str:
    """Every key of a board profile."""
    own = key_table(Board, only=PROFILE_KEYS)
    parts = [own, f"### [target]\n\n{first_sentence(Target)}\n\n{key_table(Target)}"]
    return "\n\n".join(
        [*parts, f"### [protocol]\n\n{first_sentence(Protocol)}\n\n{key_table(Protocol)}"]
    )


def exit_codes() -> str:
    """Every exit code of the command."""
    return table(("code", "means"), ((str(code), words) for code, words in EXIT_CODES.items()))


def api() -> str:
    """Every public name with the first sentence of its docstring."""
    rows = []
    for name in hwprune.__all__:
        thing = getattr(hwprune, name)
        rows.append((f"`{name}`", API_WORDS.get(name) or first_sentence(thing)))
    return table(("name", "is"), rows)


API_WORDS = {
    "__version__": "The version of hwprune.",
    "Part": "Which part of the data is meant: `train`, `calibration`, `heldout`, `final`, `test`.",
    "Run": "A network that only infers, called as the module is: a torch module or a board.",
}
"""Of what has no docstring of its own."""
PARTS: dict[str, Callable[[], str]] = {
    "deployment_keys": deployment_keys,
    "budget_keys": budget_keys,
    "profile_keys": profile_keys,
    "exit_codes": exit_codes,
    "api": api,
}


def first_sentence(thing: Any) -> str:
    """Of a docstring."""
    text = inspect.getdoc(thing) or ""
    return re.split(r"(?<=\.)\s", text.replace("\n", " ").strip())[0]


def key_table(noun: type, usual: dict[str, Any] | None = None, only: tuple[str, ...] = ()) -> str:
    """A dataclass's fields: name, what may be written, default, what it is."""
    docs, hints = field_docs(noun), get_type_hints(noun, include_extras=True)
    rows = []
    for field in fields(noun):
        if only and field.name not in only:
            continue
        default = (usual or {}).get(field.name, MISSING)
        shown = default_of(field) if default is MISSING else written(default)
        rows.append((f"`{field.name}`", kind_of(hints[field.name]), shown, docs[field.name]))
    return table(("key", "takes", "default", "says"), rows)


def field_docs(noun: type) -> dict[str, str]:
    """The strings under a dataclass's fields.

    Raises:
        KeyError: a field has none (by whoever asks for it).
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(noun))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                words = " ".join(text.value.split())
                # In a file nobody writes None.
                found[field.target.id] = re.sub(r"\bNone(:| for\b)", "left out:", words)
    return found


def kind_of(hint: Any) -> str:
    """What may be written for a key, in a word or two."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return next((span(one) for one in inner[1:] if isinstance(one, Range)), kind_of(inner[0]))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner if value)
    if origin in (Union, UnionType):
        return " or ".join(kind_of(one) for one in inner if one is not NoneType)
    if origin is tuple:
        return f"list of {kind_of(inner[0])}"
    if origin in (dict, importlib.import_module("collections.abc").Mapping):
        return "table"
    if is_dataclass(hint):
        return "table"
    return {str: "text", bool: "true, false", float: "number", int: "whole number"}[hint]


def span(numbers: Range) -> str:
    """A range of numbers; ends that only keep nonsense out are not named."""
    what = "whole number" if numbers.whole or numbers.high in (1024, 65536) else "number"
    if abs(numbers.high) < 1e5:
        return f"{what} {numbers.low:g}..{numbers.high:g}"
    if numbers.low in (0, 1):
        return f"{what} from {numbers.low:g}"
    return f"{what} above 0" if numbers.low > 0 else what


def default_of(field: Field[Any]) -> str:
    """A field's default as one writes it."""
    if field.default is not MISSING:
        return written(field.default)
    return "" if field.default_factory is not MISSING else "**needed**"


def written(value: Any) -> str:
    """A value as TOML; nothing for what is empty."""
    from hwprune.toml_file import to_toml

    if value is None or (isinstance(value, str | tuple) and not value):
        return ""
    return f"`{to_toml(value)}`"


def table(head: tuple[str, ...], rows: Any) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    cells = ((cell.replace("|", r"\|") for cell in line) for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def main() -> None:
    """Write every page that has a part again."""
    for page in pages():
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
