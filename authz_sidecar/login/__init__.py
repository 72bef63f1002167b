"""Login with OpenID Connect: transactions, providers, handoff to other hosts, step-up, logout.
Establishes who the user is; the policy decides what the user may do."""
