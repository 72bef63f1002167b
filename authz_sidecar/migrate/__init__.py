"""Converts configurations of other products."""
