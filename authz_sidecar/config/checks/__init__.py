"""Rules that involve more than one key of a configuration, and its warnings."""
