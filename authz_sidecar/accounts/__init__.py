"""Who comes with a secret that was made here and is no cookie: service accounts, command-line tools
and users of a password file."""
