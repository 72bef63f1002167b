"""Rules of a configuration that involve more than one key, and its warnings."""
