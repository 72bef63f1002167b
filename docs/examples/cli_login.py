"""Sign in to a site from the command line: python cli_login.py https://app.example.com"""

import base64, hashlib, http.server, json, secrets, sys, webbrowser
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen

def sign_in(site: str) -> str:
    verifier, state, answer = secrets.token_urlsafe(48), secrets.token_urlsafe(16), {}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = dict(parse_qsl(urlsplit(self.path).query))
            answer.update(given if given.get("state") == state else {})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"You can go back to the command line.")

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        asked = {"redirect_uri": f"http://127.0.0.1:{server.server_port}/", "state": state,
                 "code_challenge": challenge.decode(), "code_challenge_method": "S256"}
        webbrowser.open(f"{site}/.auth/api/login?{urlencode(asked)}")
        while not answer:
            server.handle_request()
    form = {"grant_type": "authorization_code", "code": answer.get("code", ""),
            "code_verifier": verifier, "redirect_uri": asked["redirect_uri"]}
    return json.load(urlopen(f"{site}/.auth/api/token", urlencode(form).encode()))["access_token"]

if __name__ == "__main__":
    print(sign_in(sys.argv[1]))
