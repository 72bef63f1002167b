"""Each kind of provider as its own documentation describes it: discovery, tokens, userinfo, API.
Written from those pages, with made-up people; nothing was recorded from a running provider."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.login.documented_provider import CLIENT_KEY, TENANT, DocumentedProvider


def client_key_pem() -> str:
    written = CLIENT_KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return str(written.decode())


GOOGLE = DocumentedProvider(
    kind="google",
    discovery={"token_endpoint_auth_methods_supported": ["client_secret_post"]},
    claims={
        "azp": "authz",
        "sub": "110169484474386276334",
        "hd": "example.com",
        "email": "alice@example.com",
        "email_verified": True,
        "name": "Alice Adams",
        "given_name": "Alice",
    },
    userinfo={
        "sub": "110169484474386276334",
        "name": "Alice Adams",
        "picture": "https://lh3.googleusercontent.com/a/x",
        "email": "alice@example.com",
        "email_verified": True,
        "hd": "example.com",
    },
    token={"refresh_token": "1//r", "scope": "openid email profile"},
    expected_parameters={
        "access_type": "offline",
        "prompt": "consent",
        "scope": "openid profile email",
    },
    expected_identity={
        "subject": "110169484474386276334",
        "email": "alice@example.com",
        "name": "Alice Adams",
        "groups": (),
    },
)

_GRAPH = "/graph/v1.0/me/transitiveMemberOf"

AZURE = DocumentedProvider(
    kind="azure",
    path="/common/v2.0",
    endpoints={
        "authorization_endpoint": "/common/oauth2/v2.0/authorize",
        "token_endpoint": "/common/oauth2/v2.0/token",
        "jwks_uri": "/common/discovery/v2.0/keys",
        "userinfo_endpoint": "/oidc/userinfo",
        "end_session_endpoint": "/common/oauth2/v2.0/logout",
    },
    discovery={"issuer": "{base}/{tenantid}/v2.0"},
    settings={"api": "{base}/graph/v1.0"},
    claims={
        "iss": f"{{base}}/{TENANT}/v2.0",
        "tid": TENANT,
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "name": "Alice Adams",
        "email": "alice@example.com",
        "xms_edov": True,
        "preferred_username": "alice@example.com",
        "ver": "2.0",
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/x/getMemberObjects"}},
    },
    userinfo={
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "name": "Alice Adams",
        "email": "alice@example.com",
    },
    api={
        _GRAPH: {
            "?$select=id&$top=999": {
                "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryObjects",
                "@odata.nextLink": f"{{base}}{_GRAPH}?$skiptoken=RFNw",
                "value": [
                    {"@odata.type": "#microsoft.graph.group", "id": "g-1"},
                    {"@odata.type": "#microsoft.graph.directoryRole", "id": "no-group"},
                ],
            },
            "?$skiptoken=RFNw": {"value": [{"@odata.type": "#microsoft.graph.group", "id": "g-2"}]},
        }
    },
    expected_identity={
        "issuer": f"{{base}}/{TENANT}/v2.0",
        "subject": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "email": "alice@example.com",
        "groups": ("g-1", "g-2"),
    },
    expected_logout_url="{base}/common/oauth2/v2.0/logout?client_id=authz&post_logout_redirect_uri=",
)

OKTA = DocumentedProvider(
    kind="okta",
    path="/oauth2/default",
    discovery={"end_session_endpoint": "{base}/oauth2/default/v1/logout"},
    claims={"sub": "00uid4BxXw6I6TV4m0g3", "amr": ["pwd"], "idp": "00o1", "ver": 1},
    userinfo={
        "sub": "00uid4BxXw6I6TV4m0g3",
        "name": "Alice Adams",
        "preferred_username": "alice@example.com",
        "email": "alice@example.com",
        "email_verified": True,
        "groups": ["Everyone", "Engineering"],
    },
    expected_identity={"email": "alice@example.com", "groups": ("Everyone", "Engineering")},
    expected_logout_url="{base}/oauth2/default/v1/logout?client_id=authz&post_logout_redirect_uri=",
)

AUTH0 = DocumentedProvider(
    kind="auth0",
    path="/",
    settings={"claims": {"groups": "https://example.com/roles"}},
    claims={
        "sub": "auth0|507f1f77bcf86cd799439011",
        "nickname": "alice",
        "name": "Alice Adams",
        "email": "alice@example.com",
        "email_verified": True,
        "https://example.com/roles": ["admin"],
    },
    userinfo={
        "sub": "auth0|507f1f77bcf86cd799439011",
        "email": "alice@example.com",
        "email_verified": True,
        "https://example.com/roles": ["admin"],
    },
    expected_identity={
        "subject": "auth0|507f1f77bcf86cd799439011",
        "email": "alice@example.com",
        "groups": ("admin",),
    },
    expected_logout_url="{base}/v2/logout?client_id=authz&returnTo=https%3A%2F%2Fapp.example.com",
)

GITLAB = DocumentedProvider(
    kind="gitlab",
    claims={
        "sub": "1234",
        "sub_legacy": "0af3",
        "email": "alice@example.com",
        "email_verified": True,
        "groups_direct": ["platform/sre"],
        "auth_time": 1_700_000_000,
    },
    userinfo={
        "sub": "1234",
        "name": "Alice Adams",
        "nickname": "alice",
        "email": "alice@example.com",
        "email_verified": True,
        "groups": ["platform", "platform/sre"],
        "https://gitlab.org/claims/groups/owner": ["platform"],
    },
    expected_identity={"email": "alice@example.com", "groups": ("platform", "platform/sre")},
)

GITHUB = DocumentedProvider(
    kind="github",
    endpoints={
        "authorization_endpoint": "/login/oauth/authorize",
        "token_endpoint": "/login/oauth/access_token",
    },
    claims=None,
    token={"token_type": "bearer", "scope": "read:org,read:user,user:email", "expires_in": None},
    api={
        "/api/v3/user": {
            "login": "octoalice",
            "id": 583231,
            "node_id": "MDQ6VXNlcjU4MzIzMQ==",
            "name": "Alice Adams",
            "email": "public@elsewhere.test",
            "type": "User",
        },
        "/api/v3/user/emails": [
            {"email": "old@example.org", "primary": False, "verified": True, "visibility": None},
            {"email": "alice@example.com", "primary": True, "verified": True, "visibility": "x"},
        ],
        "/api/v3/user/orgs": [{"login": "acme", "id": 1}, {"login": "octo-org", "id": 2}],
        "/api/v3/user/teams": [
            {"name": "Site Reliability", "slug": "sre", "organization": {"login": "acme", "id": 1}}
        ],
    },
    expected_parameters={
        "scope": "read:user user:email read:org",
        "nonce": None,
        "code_challenge_method": "S256",
    },
    expected_identity={
        "subject": "583231",
        "email": "alice@example.com",
        "name": "Alice Adams",
        "groups": ("acme", "octo-org", "acme/sre"),
    },
)

KEYCLOAK = DocumentedProvider(
    kind="keycloak",
    path="/realms/acme",
    discovery={"end_session_endpoint": "{base}/realms/acme/protocol/openid-connect/logout"},
    claims={
        "sub": "f:2c1a:alice",
        "typ": "ID",
        "acr": "1",
        "sid": "a2b3",
        "email": "alice@example.com",
        "email_verified": True,
        "preferred_username": "alice",
        "groups": ["/staff/engineering"],
    },
    userinfo={
        "sub": "f:2c1a:alice",
        "email": "alice@example.com",
        "email_verified": True,
        "realm_access": {"roles": ["offline_access", "auditor"]},
        "resource_access": {
            "authz": {"roles": ["operator"]},
            "account": {"roles": ["manage-account"]},
        },
        "groups": ["/staff/engineering"],
    },
    expected_identity={
        "email": "alice@example.com",
        "groups": ("/staff/engineering", "offline_access", "auditor", "operator"),
    },
    expected_logout_url="{base}/realms/acme/protocol/openid-connect/logout?client_id=authz",
)

COGNITO = DocumentedProvider(
    kind="cognito",
    path="/eu-west-1_aB3",
    endpoints={
        "authorization_endpoint": "/oauth2/authorize",
        "token_endpoint": "/oauth2/token",
        "jwks_uri": "/eu-west-1_aB3/.well-known/jwks.json",
        "userinfo_endpoint": "/oauth2/userInfo",
        "end_session_endpoint": "/logout",
    },
    claims={
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["eu-west-1_aB3_Google", "staff"],
        "cognito:username": "alice",
        "token_use": "id",
        "email": "alice@example.com",
        "email_verified": True,
    },
    userinfo={
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "email_verified": "true",
        "email": "alice@example.com",
        "username": "alice",
    },
    expected_identity={"email": "alice@example.com", "groups": ("eu-west-1_aB3_Google", "staff")},
    expected_logout_url="{base}/logout?client_id=authz&logout_uri=https%3A%2F%2Fapp.example.com",
)

APPLE = DocumentedProvider(
    kind="apple",
    endpoints={
        "authorization_endpoint": "/auth/authorize",
        "token_endpoint": "/auth/token",
        "jwks_uri": "/auth/keys",
    },
    discovery={"token_endpoint_auth_methods_supported": ["client_secret_post"]},
    settings={
        "client_key": client_key_pem(),
        "client_key_id": "ABC123DEFG",
        "team_id": "DEF123GHIJ",
    },
    claims={
        "sub": "001234.0f1e2d3c4b5a.1234",
        "email": "x7@privaterelay.appleid.com",
        "email_verified": "true",
        "is_private_email": "true",
        "nonce_supported": True,
        "real_user_status": 2,
    },
    form_post_parameters={
        "user": '{"name":{"firstName":"Alice","lastName":"Adams"},"email":"boss@example.com"}',
    },
    expected_parameters={"response_mode": "form_post", "scope": "openid name email"},
    expected_identity={
        "subject": "001234.0f1e2d3c4b5a.1234",
        "email": "x7@privaterelay.appleid.com",
        "name": "Alice Adams",
        "groups": (),
    },
)

ONELOGIN = DocumentedProvider(
    kind="onelogin",
    path="/oidc/2",
    discovery={"end_session_endpoint": "{base}/oidc/2/logout"},
    claims={"sub": "123456", "sid": "a5b0"},
    userinfo={
        "sub": "123456",
        "email": "alice@example.com",
        "preferred_username": "alice",
        "name": "Alice Adams",
        "groups": ["Engineering", "VPN"],
    },
    expected_parameters={"scope": "openid profile email groups"},
    expected_identity={"email": "alice@example.com", "groups": ("Engineering", "VPN")},
    expected_logout_url="{base}/oidc/2/logout?client_id=authz&post_logout_redirect_uri=",
)

PING = DocumentedProvider(
    kind="ping",
    path="/as",
    discovery={
        "signoff_endpoint": "{base}/as/signoff",
        "end_session_endpoint": "{base}/as/signoff",
    },
    claims={"sub": "8b1a", "env": "e-1", "org": "o-1", "p1.region": "EU", "sid": "s-1"},
    userinfo={
        "sub": "8b1a",
        "name": "Alice Adams",
        "mail": "alice@example.com",
        "groups": ["6f0c", "7a1d"],
    },
    expected_identity={"email": "alice@example.com", "groups": ("6f0c", "7a1d")},
    expected_logout_url="{base}/as/signoff?client_id=authz&post_logout_redirect_uri=",
)

DOCUMENTED_PROVIDERS = {
    documented.kind: documented
    for documented in (
        GOOGLE,
        AZURE,
        OKTA,
        AUTH0,
        GITLAB,
        GITHUB,
        KEYCLOAK,
        COGNITO,
        APPLE,
        ONELOGIN,
        PING,
    )
}
