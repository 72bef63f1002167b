"""Values and grammars that everything else is built from.

Standard library only: no clock, no randomness, no logging, no I/O.
"""
