"""The command line, one file a noun. Only `main` calls it; it calls use cases and prints what they return."""
