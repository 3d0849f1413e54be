"""Every error hwprune raises on purpose.

HwpruneError
├── InputError            what the user gave is wrong: a file, a key, a shape, a name     (exit 2)
│   ├── DeploymentError   a deployment or board file
│   ├── NetworkError      a network that cannot be loaded or traced
│   └── DataError         a data set that is absent or has the wrong shape
├── BudgetError           the budget cannot be met on this board                          (exit 3)
├── BoardError            a board does not answer, or answers nonsense                    (exit 4)
├── RunFolderError        a run folder or store that cannot be read, written or resumed   (exit 5)
└── DeliveryError         the delivered network is not what was searched                  (exit 6)

A measurement never raises: it returns a Reading or a Failure.
"""

from __future__ import annotations

EXIT_CODES = {
    0: "done; for `prune`: the budget was shown to be kept",
    1: "an error nobody expected; for `doctor`, `table lint`, `table refresh`: something is wrong",
    2: "what was given is wrong: a file, a key, a shape, a name, an option",
    3: "the budget cannot be met on this board",
    4: "a board does not answer, or answers nonsense",
    5: "a run folder or a store cannot be read, written or resumed",
    6: "the delivered network is not what was searched: torch, ONNX and the board disagree",
    7: "`prune` finished, but the budget was not shown to be kept",
    8: "`prune` finished, but the score is below the floor that was asked for",
    130: "interrupted by Ctrl-C; `prune` says how to resume",
    141: "whoever read the output has gone, as after `| head`",
}
"""What the command tells a shell. Of several budgets `prune` ends with the highest of theirs."""


class HwpruneError(Exception):
    """What happened, what was given, what is possible, and what to do next."""

    exit_code = 1

    def __init__(
        self, happened: str, *, given: str = "", possible: str = "", next_step: str = ""
    ) -> None:
        self.happened = happened
        self.given = given
        self.possible = possible
        self.next_step = next_step
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.happened]
        if self.given:
            parts.append(f"  given:    {self.given}")
        if self.possible:
            parts.append(f"  possible: {self.possible}")
        if self.next_step:
            parts.append(f"  next:     {self.next_step}")
        return "\n".join(parts)

    @property
    def one_line(self) -> str:
        """All of it on one line, as a row of a list or a table shows it."""
        return " ".join(str(self).split())


class InputError(HwpruneError):
    """Something the user gave is wrong."""

    exit_code = 2


class DeploymentError(InputError):
    """A deployment or board file is wrong."""


class NetworkError(InputError):
    """A network cannot be loaded or traced."""


class DataError(InputError):
    """A data set is absent or has the wrong shape."""


class BudgetError(HwpruneError):
    """The budget cannot be met on this board."""

    exit_code = 3


class BoardError(HwpruneError):
    """A board does not answer, or answers nonsense."""

    exit_code = 4


class RunFolderError(HwpruneError):
    """A run folder or a store cannot be read, written or resumed."""

    exit_code = 5


class DeliveryError(HwpruneError):
    """The delivered network is not what was searched: torch, ONNX and the board disagree."""

    exit_code = 6
