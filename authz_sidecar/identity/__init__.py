"""Headers and signed assertions that pass a user's identity to an application."""
