"""What is claimed about speed, each claim a command."""
