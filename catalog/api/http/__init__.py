"""What every endpoint shares: parsing, printing, refusing, serving. Nothing here knows what a catalog holds."""
