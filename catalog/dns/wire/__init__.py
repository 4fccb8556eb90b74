"""The DNS codec (RFC 1035, 6891): bytes to a query, records to bytes. Pure; any bytes give a value or `FormatError`."""
