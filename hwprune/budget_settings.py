"""Budgets as a deployment file or a caller says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from hwprune.budget import QUANTITIES, Budget, Constraint, parse_constraint
from hwprune.errors import DeploymentError
from hwprune.file_name import file_name
from hwprune.run_folder import RUN_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """A limit that is a table."""

    at_most: str | float
    """`"8 ms"`, `"200 MB"`, `"12 mJ"`, a number in the quantity's unit, or `"50 %"` of the
    unpruned network's own."""
    quantile: float = 0.5
    """Of latency_ms: which of the runs, 0.95 for 95 of 100."""
    clock: str = ""
    """Of latency_ms on a GPU: host, transfers or device; empty: as the board's profile says."""


def parse_budgets(data: Any, *, where: str = "budget") -> tuple[Budget, ...]:
    """One budget from a table, or several from a list of tables, each with a name of its own.

    Raises:
        DeploymentError: as `parse_budget`, or two budgets of one name.
    """
    if isinstance(data, Mapping):
        return (parse_budget(data, where=where),)
    if not isinstance(data, list | tuple) or not data:
        raise DeploymentError(
            f"{where} is no table of limits, and no list of such",
            given=repr(data),
            possible='latency_ms = "50 %", or [[budget]] once for each network wanted',
        )
    found = []
    for number, entry in enumerate(data, 1):
        if not isinstance(entry, Mapping):
            raise DeploymentError(f"{where} {number} is no table of limits", given=repr(entry))
        limits = {key: limit for key, limit in entry.items() if key != "name"}
        budget = parse_budget(limits, where=f"{where} {number}")
        found.append(replace(budget, name=str(entry.get("name", _usual_name(limits)))))
    names = [budget.name for budget in found]
    # Each budget has a folder in the run, so names must differ as folders do.
    places = {file_name(name) for name in names}
    taken = sorted(places & set(RUN_NAMES))
    if taken:
        raise DeploymentError(
            f"{where}: a budget cannot be called '{taken[0]}'",
            given="a run keeps something else under that name",
        )
    # Labels are `NAME: LABEL`, so no name may go on where another one and its colon end.
    inside = any(one.startswith(f"{other}: ") for one in names for other in names)
    if len(places) < len(names) or inside:
        raise DeploymentError(
            f"{where}: two budgets have one name, or one begins with the other and a colon",
            given=", ".join(names),
            next_step='give each a name of letters and digits: name = "small"',
        )
    # A list of one is as one table: no folder of its own, no name before its labels.
    return tuple(found) if len(found) > 1 else (replace(found[0], name=""),)


def parse_budget(data: Mapping[str, Any], *, where: str = "budget") -> Budget:
    """A budget from `{"latency_ms": "50 %"}` or `{"latency_ms": {"at_most": …, "quantile": …}}`.

    Raises:
        DeploymentError: nothing is asked for, or a constraint cannot be read.
    """
    constraints = []
    for name, limits in data.items():
        # A table of quantities belongs to a kind of board; any other table is one limit.
        if isinstance(limits, Mapping) and limits and set(limits) <= set(QUANTITIES):
            for quantity, inner in limits.items():
                constraints += _limits(quantity, inner, kind=name, where=f"{where} {name}")
        else:
            constraints += _limits(name, limits, kind="", where=where)
    if not constraints:
        raise DeploymentError(
            f"{where} asks for nothing", possible='for example latency_ms = "50 %"'
        )
    labels = [c.label for c in constraints]
    if len(set(labels)) < len(labels):
        raise DeploymentError(f"{where} limits one quantity twice", given=", ".join(labels))
    return Budget(constraints=tuple(constraints))


def _usual_name(limits: Any) -> str:
    """A budget's limits as they were given, with the numbers alone where one is a table."""
    if isinstance(limits, Mapping):
        limits = [limits["at_most"]] if "at_most" in limits else list(limits.values())
    if isinstance(limits, list | tuple):
        return ", ".join(map(_usual_name, limits))
    return str(limits)


def _limits(quantity: str, limits: Any, *, kind: str, where: str) -> list[Constraint]:
    """The constraints on one quantity, for one kind of board or for all."""
    found = []
    for limit in limits if isinstance(limits, list | tuple) else [limits]:
        entry = dict(limit) if isinstance(limit, Mapping) else {"at_most": limit}
        keys = [key.name for key in fields(LimitSettings)]
        refuse_others(entry, keys, where=f"{where} {quantity}")
        if "at_most" not in entry:
            raise DeploymentError(f"{where}: {quantity} names no at_most", given=str(limit))
        wanted = LimitSettings(**entry)
        found.append(
            parse_constraint(
                quantity,
                wanted.at_most,
                quantile=wanted.quantile,
                kind=kind,
                clock=str(wanted.clock),
            )
        )
    return found


def refuse_others(data: Mapping[str, Any], possible: Sequence[str], *, where: str) -> None:
    """Refuse keys that are not possible.

    Raises:
        DeploymentError: there is one.
    """
    unknown = [key for key in data if key not in possible]
    if unknown:
        raise DeploymentError(f"{where}: unknown key '{unknown[0]}'", possible=", ".join(possible))
