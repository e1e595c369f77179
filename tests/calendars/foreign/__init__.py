"""Calendars that others wrote."""
