"""What can go wrong between a mesh process and the catalog or agent it follows. Each text is one line for the operator."""


class SyncError(Exception):
    """The root of this room's errors."""


class UnreachableError(SyncError):
    """No address answered, or the connection broke: try again later; what is held stays in use."""


class BadAnswerError(SyncError):
    """The other side answered something that is no valid answer, or one beyond the bounds. Its fault."""


class UnusableRequestError(SyncError):
    """The request cannot be sent as HTTP. The caller's fault."""


class RefusedError(SyncError):
    """The other side understood and said no: `status` is HTTP's, `text` its first line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"refused with {status}: {text}" if text else f"refused with {status}")
        self.status = status
        self.text = text
