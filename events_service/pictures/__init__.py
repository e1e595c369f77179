"""Pictures of a programme; use cases, the command line and pages may call it, and only it imports matplotlib."""
