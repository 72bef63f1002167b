// A certified OpenID provider for the tests, on loopback. Usage: node server.js '<settings as JSON>'
//   port      where to listen; the issuer is http://localhost:<port>
//   clients   registrations as in OpenID Connect Dynamic Client Registration
//   accessTokenSeconds  how long access tokens live; refresh tokens rotate with every use
//   pushedRequests  whether requests for sign-in may be handed in beforehand (RFC 9126); `required`
//   signedUserinfo  whether clients may have userinfo as a signed token
//   users     claims by subject; unknown subjects sign in with no claims but `sub`
// Whoever `login_hint` names is signed in without a question; without one a form asks. Asked for
// `acr_values`, the form has a box for the second factor: with it the first of them is granted and
// `amr` says `pwd` and `otp`, without it there is no `acr`, as a provider may that takes
// `acr_values` for a wish. `max_age` and `prompt` are the package's own business.
// Signing keys are made at start: a restart on the same port is a key rotation.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const settings = JSON.parse(process.argv[2]);
const issuer = `http://localhost:${settings.port}`;

function signingKey(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, kid: randomUUID(), use: 'sig' };
}

const provider = new Provider(issuer, {
  clients: settings.clients,
  jwks: {
    keys: [
      signingKey('RS256', 'rsa', { modulusLength: 2048 }),
      signingKey('ES256', 'ec', { namedCurve: 'P-256' }),
    ],
  },
  cookies: { keys: [randomUUID()] },
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
  acrValues: ['bronze', 'gold', 'platinum'],
  claims: {
    openid: ['sub', 'amr'],
    acr: null,
    profile: ['name'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource },
    backchannelLogout: { enabled: true },
    jwtUserinfo: { enabled: Boolean(settings.signedUserinfo) },
    pushedAuthorizationRequests: {
      enabled: Boolean(settings.pushedRequests),
      requirePushedAuthorizationRequests: settings.pushedRequests === 'required',
    },
  },
  extraClientMetadata: { properties: ['frontchannel_logout_uri'] },
  // Without the package's own agent, which refuses loopback: the relying party is there.
  fetch: (url, { dispatcher: _agent, ...options }) => fetch(url, options),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, ...settings.users[sub] }),
  }),
  renderError: (ctx, out) => {
    ctx.type = 'json';
    ctx.body = out;
  },
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => true,
  ttl: { AccessToken: settings.accessTokenSeconds, RefreshToken: 3600, AuthorizationCode: 60, IdToken: 3600, Interaction: 600, Grant: 3600, Session: 3600 },
});

// OpenID Connect Front-Channel Logout 1.0, which the package leaves to its users: a frame for each
// client that this browser is signed in to and that wants one.
async function logoutSource(ctx, form) {
  const frames = [];
  for (const clientId of Object.keys(ctx.oidc.session.authorizations ?? {})) {
    const client = await provider.Client.find(clientId);
    const wanted = client?.metadata().frontchannel_logout_uri;
    if (wanted) {
      const told = new URLSearchParams({ iss: issuer, sid: ctx.oidc.session.sidFor(clientId) });
      frames.push(`<iframe src="${wanted}?${told.toString().replaceAll('&', '&amp;')}"></iframe>`);
    }
  }
  ctx.body = `<!doctype html><title>Sign out</title>${frames.join('')}${form}
    <button form="op.logoutForm" name="logout" value="yes">Sign out</button>`;
}

provider.on('backchannel.error', (_ctx, error) => console.error('back channel:', error));

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const form = request.method === 'POST' ? await body(request) : new URLSearchParams();
    if (form.get('deny')) {
      const result = { error: 'access_denied', error_description: 'the user said no' };
      return provider.interactionFinished(request, response, result);
    }
    const accountId = form.get('user') || (params.acr_values ? '' : params.login_hint);
    if (!accountId) {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      return response.end(`<!doctype html><title>Sign in</title><form method="post">
        <label>User <input name="user" autofocus></label> <button>Sign in</button>
        <label><input type="checkbox" name="otp" value="1"> With second factor</label>
        <button name="deny" value="1">Refuse</button></form>`);
    }
    const strong = form.get('otp');
    const login = strong
      ? { accountId, acr: params.acr_values?.split(' ')[0], amr: ['pwd', 'otp'] }
      : { accountId, amr: ['pwd'] };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return provider.interactionFinished(
    request,
    response,
    { consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true },
  );
}

// The tests hold our standard input open; when they are gone, so are we.
process.stdin.on('end', () => process.exit()).resume();

const callback = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    callback(request, response);
    return;
  }
  interact(request, response).catch((error) => {
    response.statusCode = 400;
    response.end(String(error));
  });
}).listen(settings.port, '127.0.0.1', () => console.log('ready'));
