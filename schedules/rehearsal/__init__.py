"""Rehearsing a programme from month 0 to its end, in a folder of its own; only the composition root calls it."""
