"""The fast path: responses from memory, for plain subrequests about sessions that are in memory.

Every other subrequest gets no response here and goes on to `check.authorizer` by `web.check_app`.
Where both respond, their responses are equal, byte for byte.
"""
