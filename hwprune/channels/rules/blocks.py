"""What a reshape does to axes: the smallest runs that hold the same elements before and after."""

from __future__ import annotations


def blocks(before: list[int], after: list[int]) -> list[tuple[list[int], list[int]]]:
    """Smallest runs of axes before and after that hold the same number of elements.

    Args:
        before, after: sizes of all axes; their products are equal.
    """
    blocks, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        sources: list[int] = []
        targets: list[int] = []
        left = right = 1
        while not (sources or targets) or left != right:
            if (left <= right and i < len(before)) or j >= len(after):
                left *= before[i]
                sources.append(i)
                i += 1
            else:
                right *= after[j]
                targets.append(j)
                j += 1
        # An axis of size 1 is a block alone; one of size 1 at the same place belongs to it.
        if sources and not targets and j < len(after) and after[j] == before[sources[-1]] == 1:
            targets.append(j)
            j += 1
        blocks.append((sources, targets))
    return blocks
