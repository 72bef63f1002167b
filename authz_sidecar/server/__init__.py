"""The server process: sockets, HTTP limits, workers, signals and reloads.

Must not know what is served on its listeners.
"""
