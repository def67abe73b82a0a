// A small shop: customers sign in, look at pages, and change their email.

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cache } from 'vidcache';
import { Hubspot } from './hubspot.mjs';
import { Shop } from './shop.mjs';

const env = (name, otherwise) => process.env[name] ?? otherwise;
const portal = Number(env('HUBSPOT_PORTAL', 62515));
const usual = env('SNIPPET', 'vidcache') === 'usual';
const data = env('DATA_DIR', fileURLToPath(new URL('storage', import.meta.url)));
mkdirSync(data, { recursive: true, mode: 0o700 });

const cache = new Cache(join(data, 'hubspot.vidcache'), portal, {
  secret: env('VIDCACHE_SECRET', 'a secret that a real shop keeps elsewhere'),
  pageDeadlineMs: 1000 * env('PAGE_DEADLINE', 10),
});
const hubspot = new Hubspot(env('HUBSPOT_API', 'https://api.hubapi.com'), env('HUBSPOT_TOKEN', ''));
const quiet = process.env.QUIET_PERIOD;
const shop = new Shop({ file: join(data, 'users.json'), cache, hubspot, usual, quietMs: quiet && 1000 * quiet });
const sessions = new Map();

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** HubSpot's snippet: what this is about. The page goes out whatever becomes of it. */
function tracking(user, nonce) {
  if (usual) {
    const email = JSON.stringify(user.email).replaceAll('<', '\\u003c');
    return `<script nonce="${nonce}">var _hsq = window._hsq = window._hsq || []; _hsq.push(["identify", {email: ${email}}]);</script>
<script id="hs-script-loader" async defer src="//js.hs-scripts.com/${portal}.js"></script>`;
  }
  try {
    return cache.snippet(user.id, user.email, { nonce });
  } catch (error) {
    console.error(error.message);
    return '';
  }
}

function page(response, user, title, body) {
  const nonce = randomBytes(16).toString('base64');
  response.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    // It names its visitor: no cache may show it later, or to somebody else.
    ...(user && !usual && { 'cache-control': 'private, no-store' }),
    'content-security-policy': `script-src 'nonce-${nonce}' 'strict-dynamic'; img-src 'self' https://track.hubspot.com`,
  });
  response.end(`<!DOCTYPE html><title>${title}</title><h1>${title}</h1>${body}${user ? tracking(user, nonce) : ''}`);
}

function redirect(response, location, headers = {}) {
  response.writeHead(303, { location, ...headers }).end();
}

async function form(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 10_000) throw new Error('the form is too long');
  }
  return new URLSearchParams(body);
}

const SIGN_IN = '<form action="/sign_in" method="post"><input name="login"><button>Sign in</button></form>';

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/up') return response.writeHead(200).end();
  if (pathname === '/jobs') return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ pending: shop.pending }));
  const user = sessions.get(/\bsession=(\w+)/.exec(request.headers.cookie ?? '')?.[1]);
  if (pathname === '/sign_in') {
    if (request.method !== 'POST') return page(response, null, 'Sign in', SIGN_IN);
    const found = shop.byLogin((await form(request)).get('login') ?? '');
    if (!found) return page(response, null, 'There is no such customer', SIGN_IN);
    const session = randomBytes(16).toString('hex');
    sessions.set(session, found);
    return redirect(response, '/', { 'set-cookie': `session=${session}; Path=/; HttpOnly; SameSite=Lax` });
  }
  if (!user) return redirect(response, '/sign_in');
  if (pathname === '/settings' && request.method === 'POST') {
    const email = ((await form(request)).get('email') ?? '').trim().toLowerCase();
    if (!/^[^@\s]+@[^@\s]+$/.test(email)) return page(response, user, 'That is no email address', '<a href="/settings">Settings</a>');
    await shop.changeEmail(user, email);
    return redirect(response, '/settings');
  }
  if (pathname === '/settings') {
    return page(response, user, 'Settings', `<form action="/settings" method="post"><input name="email" type="email" value="${escape(user.email)}"><button>Change it</button></form>`);
  }
  if (pathname === '/') return page(response, user, `Welcome, ${user.login}`, '<a href="/settings">Settings</a>');
  if (/^\/pages\/[1-9]$/.test(pathname)) return page(response, user, `Page ${pathname.at(-1)}`, '<p>Nothing is sold here.</p>');
  return response.writeHead(404).end('There is no such page.');
}

await shop.prepare(Number(env('USERS', 5)));
const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error.message);
    if (!response.headersSent) response.writeHead(500).end('Something went wrong; nothing was changed.');
  });
});
server.listen(Number(env('PORT', 3000)), '127.0.0.1');
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    cache.close();
    process.exit(0);
  });
}
