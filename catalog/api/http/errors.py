"""What a request can be refused with: one exception class a status, each a line of text for the caller.

Consul answers errors as text/plain. The text must say what to do next, and must never carry a secret or a
traceback: anything unforeseen is logged here and reads "internal error" outside.
"""

from collections.abc import Sequence


class ApiError(Exception):
    """The caller's fault unless a subclass says otherwise; `status` is the HTTP status it gets."""

    status = 400
    headers: Sequence[tuple[bytes, bytes]] = ()


class BadRequestError(ApiError):
    """400: a parameter or the body cannot be read."""


class AclDisabledError(ApiError):
    """401: access control is off, so that there are no tokens to speak of (Consul's words)."""

    status = 401

    def __init__(self) -> None:
        super().__init__("ACL support disabled")


class PermissionDeniedError(ApiError):
    """403: the caller may not do this."""

    status = 403


class NotFoundError(ApiError):
    """404: there is no such thing, or no such path."""

    status = 404


class RequestTimeoutError(ApiError):
    """408: the caller did not send its body in time."""

    status = 408


class BodyTooLargeError(ApiError):
    """413: the body exceeds the bound that the text names."""

    status = 413


class RefusedError(ApiError):
    """500: a well-formed request that Consul refuses with 500 (a missing node, an unknown datacenter, a bad filter).

    Consul's clients expect this status (reference: measured traps), so it is kept, although the fault is the caller's.
    """

    status = 500


class UnavailableError(ApiError):
    """503: the catalog's own fault: it cannot do this now."""

    status = 503


class MethodNotAllowedError(ApiError):
    """405: the path has other methods; `Allow` names them."""

    status = 405

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"method {method[:32]} not allowed")
        self.headers = ((b"allow", ",".join(("OPTIONS", *allowed)).encode()),)
