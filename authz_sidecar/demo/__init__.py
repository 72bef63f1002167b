"""The demo: a real proxy, an OpenID provider, a small app and the sidecar, each a process of its
own on loopback. Knows the product from outside only: its command line, its configuration, HTTP."""
