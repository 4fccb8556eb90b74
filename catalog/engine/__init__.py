"""The engine: the one writer of the catalog's state, and those who wait for it to change.

It must never answer before a change is on disk, nor let a reader see one that is not.
"""

from catalog.engine.catalog import Catalog
from catalog.engine.errors import CatalogBusyError, CatalogStoppedError

__all__ = ["Catalog", "CatalogBusyError", "CatalogStoppedError"]
