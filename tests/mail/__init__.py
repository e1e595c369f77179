"""Mail as bytes, and the servers and readers that try it."""
