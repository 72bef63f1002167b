"""OpenID Connect and JOSE, shared by sign-in and token issuers: keys, signed tokens, metadata, HTTP."""
