"""Configurations of other products, converted."""
