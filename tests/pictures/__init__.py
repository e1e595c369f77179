"""Tests of the pictures: what is drawn, where it goes, and that it is the same on every run."""
