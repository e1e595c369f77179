"""iCalendar as bytes: invitations and feeds out, calendar replies in. Use cases call it; it has no I/O."""
