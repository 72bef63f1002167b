"""The demo: a real proxy, an OpenID provider, a small app and the sidecar, each a process on
loopback. Uses the product from outside only: its command line, its configuration and HTTP."""
