"""Why the engine did not take a change, or cannot say what became of it. Both are the catalog's fault, never the sender's."""


class CatalogBusyError(Exception):
    """More changes are queued than the catalog takes, or its disk is full; nothing was kept, send the change again."""


class CatalogStoppedError(Exception):
    """The catalog stops or its store failed; whether the change was kept is known after its restart."""
