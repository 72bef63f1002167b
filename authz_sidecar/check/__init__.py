"""One check: the order of route, credentials, session and policy, and what the answer holds."""
