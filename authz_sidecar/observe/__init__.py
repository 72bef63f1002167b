"""What operators see: log lines and metrics. Decides how facts are written down, never what happens;
no token, cookie, code or header dump passes through here."""
