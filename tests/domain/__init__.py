"""Tests of the domain: pure functions, real files, no database."""
