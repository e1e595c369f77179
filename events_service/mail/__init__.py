"""Mail as bytes: what a message says, how it is built, and the wire. No database, no retry; the post room calls it."""
