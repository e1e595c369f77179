"""Tables, sessions and migrations: all that knows SQL dialects. Use cases and parts call it; it calls the domain."""
