"""Why a change was refused: the sender's fault but for `FaultyChangeError`. The state is as it was before.

The texts name the field as Consul spells it and say what it must be; they must never quote a record's value.
"""


class ChangeRefusedError(Exception):
    """The change was not applied and nothing of it was; the text says why."""


class InvalidChangeError(ChangeRefusedError):
    """The sender's fault: a field is missing, too long, or out of its range. `field` names it as Consul spells it."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} {rule}")
        self.field = field


class UnknownSubjectError(InvalidChangeError):
    """The sender's fault: what the change is about is not in the catalog."""


class ConflictError(ChangeRefusedError):
    """A compare in a batch failed: somebody else was first. `position` is the change in the batch, from 0."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"change {position} of the batch: its compare-and-set index is not the current one; read again and retry"
        )
        self.position = position


class FaultyChangeError(ChangeRefusedError):
    """The catalog's fault: applying the change failed in a way nobody foresaw. Please report its text and the change's kind."""


class OperationError(Exception):
    """One operation of a transaction failed; the text says why. Part of a `TransactionError`, never refused by itself."""


class TransactionError(ChangeRefusedError):
    """Operations of a transaction failed, so that none was done. `failures`: their positions, from 0, and why."""

    def __init__(self, failures: tuple[tuple[int, str], ...]) -> None:
        super().__init__("; ".join(f"op {position}: {text}" for position, text in failures))
        self.failures = failures
