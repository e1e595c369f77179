"""The programme and its rules as pure functions: no I/O, no clock, no tables; every floor above may call it."""
