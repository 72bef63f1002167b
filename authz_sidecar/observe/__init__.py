"""Log lines and metrics for operators. Decides how events are written down, never what happens; no
token, cookie, code or full header passes through here."""
