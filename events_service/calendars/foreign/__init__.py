"""Calendars that others wrote, as plain occurrences, whatever is wrong with them. No I/O; use cases call `reader`."""
