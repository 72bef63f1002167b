"""The process: sockets, HTTP limits, workers, signals and reloads. Knows nothing of what is asked
or answered on its listeners."""
