"""Tests of the commands, run in this process on a database of their own."""
