"""Reading what people give us: files, addresses, countries. No database; use cases and commands call it."""
