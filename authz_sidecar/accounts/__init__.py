"""Accounts with a secret that this service issued or stores: service accounts, command-line tools,
and users of a password file."""
