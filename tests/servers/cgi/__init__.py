"""Applications that a proxy does not reach over HTTP: what they were given is their answer."""
