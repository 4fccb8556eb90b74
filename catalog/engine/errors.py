"""Why the engine did not take a change, or cannot say what became of it. Both are the catalog's fault, never the sender's."""


class CatalogBusyError(Exception):
    """More changes are queued than the catalog takes; send the change again in a second."""


class CatalogStoppedError(Exception):
    """The catalog stops or its store failed; whether the change was kept is known after its restart."""
