"""Dramatiq: the broker, the actors, and the worker processes. Only the composition roots and `schedules` call it."""
