"""The authorization check: route, credentials, session and policy in this order, and the response."""
