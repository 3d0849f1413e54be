"""The channel groups of a network as a table and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hwprune.channels.base import BaseNetwork
    from hwprune.cli.layer_table import OnBoard
    from hwprune.network.gate_record import GateRecord


def facts(base: BaseNetwork, found: OnBoard | None = None) -> dict[str, Any]:
    """Groups, frozen layers and totals as plain data, and times where a board told them."""
    from hwprune.cli.layer_table import group_facts

    model, plan = base.cost_model, base.plan
    macs, params = model.macs(plan.widths), model.params(plan.widths)
    # One unit of each group; what goes with a whole branch is not counted.
    least, removable = tuple(1 for _ in plan.widths), set(base.removable)
    groups = [
        {
            "name": group.name,
            "width": group.width,
            "unit": group.unit,
            "removable": number in removable,
            "members": list(group.members),
            "readers": list(group.readers),
            "macs": cost.macs,
            "params": cost.params,
            "macs_share": cost.macs / max(1, macs),
            "params_share": cost.params / max(1, params),
        }
        for number, (group, cost) in enumerate(zip(plan.groups, model.group_costs(), strict=True))
    ]
    # Empty where no board was asked, or it could not tell.
    timed = group_facts(found) if found is not None else []
    for group, times in zip(groups, timed, strict=False):
        group.update(times)
    return {
        **({"board": found.to_json()} if found is not None else {}),
        "input_shape": list(base.input_shape),
        "exporter": base.exporter,
        "architecture": base.architecture,
        "macs": macs,
        "macs_uncounted": list(model.uncounted),
        "params": params,
        "macs_share_cuttable": 1 - model.macs(least) / max(1, macs),
        "params_share_cuttable": 1 - model.params(least) / max(1, params),
        "groups": groups,
        "frozen": [{"layer": layer, "reason": reason} for layer, reason in plan.frozen],
    }


def _width(group: Mapping[str, Any]) -> str:
    """Units and channels in each; of a branch that can go as a whole, also none."""
    units = str(group["width"]) if group["unit"] == 1 else f"{group['width']} x {group['unit']}"
    return f"{units} or 0" if group["removable"] else units


def group_table(base: BaseNetwork, model: str, found: OnBoard | None) -> Table:
    """The groups in the network's order; the costliest are bold."""
    from rich import box
    from rich.table import Table

    from hwprune.cli.layer_table import group_cells
    from hwprune.cli.screen import short_list
    from hwprune.report.figures import count, percent

    data, cells = facts(base), group_cells(found)
    table = Table(title=f"{model}: {len(data['groups'])} channel groups", box=box.SIMPLE_HEAD)
    timed = ("ms", "saves") if cells else ()
    costs = ("MACs", "share", "params", "share", *timed)
    for column in ("group", "width", "carried by", "read by", *costs):
        left = column in ("group", "carried by", "read by")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    dear = sorted((g["macs_share"] for g in data["groups"]), reverse=True)[:3]
    for number, g in enumerate(data["groups"]):
        table.add_row(
            g["name"],
            _width(g),
            short_list(g["members"], 1),
            short_list(g["readers"], 1),
            count(g["macs"]),
            percent(g["macs_share"], 1),
            count(g["params"]),
            percent(g["params_share"], 1),
            *(cells[number] if cells else ()),
            style="bold" if g["macs_share"] in dear else "",
        )
    table.caption = (
        "share: what goes away when this group alone is cut to one channel; "
        "12 x 64: 12 heads or blocks of 64 channels, each cut as a whole"
    )
    if any(g["removable"] for g in data["groups"]):
        table.caption += "; or 0: its branch can go as a whole"
    if cells:
        table.caption += (
            "; ms: all layers that carry or read the group; saves: when it alone is cut to half"
        )
    return table


def print_frozen(base: BaseNetwork, record: GateRecord | None, console: Console) -> None:
    """What is never cut, and why."""
    if not base.plan.frozen:
        return
    tried = record.left_whole if record else {}
    console.print("never cut", style="bold")
    for layer, reason in base.plan.frozen:
        console.print(f"  {layer}: {tried.get(layer, reason)}")


def print_totals(base: BaseNetwork, console: Console) -> None:
    """The whole network, and how much of it can be cut."""
    from hwprune.cli.screen import short_list
    from hwprune.report.console import headed
    from hwprune.report.figures import count, percent

    data = facts(base)
    shape = "x".join(str(size) for size in data["input_shape"])
    sums = f"{count(data['macs'])} MACs, {count(data['params'])} parameters"
    console.print(headed("total", f" for one input of {shape}: {sums}"))
    if data["exporter"]:
        console.print(f"traced by {data['exporter']}")
    if data["macs_uncounted"]:
        layers = short_list(data["macs_uncounted"], 3)
        console.print(f"MACs without those of {layers}, whose sizes are not known")
    macs, params = (percent(data[f"{kind}_share_cuttable"], 1) for kind in ("macs", "params"))
    console.print(headed("can be cut", f": up to {macs} of the MACs, {params} of the parameters"))
