// What the types promise, for the compiler: a line that must not compile says so.

import { Cache, Database, VidcacheError, codes, migration, moveAside, restore, verifySignature, version } from 'vidcache';
import type { DatabaseOptions, Decision, ErrorCode, OpenOptions, Reason, Recorded, StaleChange, Stats, Turn } from 'vidcache';
import type { IncomingMessage } from 'node:http';
import type { Pool, PoolClient } from 'pg';

const options: OpenOptions = { secret: Buffer.from('x'), oldSecrets: ['y'], pageDeadlineMs: 10_000, durable: false };
const cache = new Cache('/tmp/x', 62515, options);
const vid: string | null = cache.resolve(42n);
const decision: Decision = cache.decide('42', null);
const reason: Reason = decision.reason;
const html: string = cache.snippet(42, vid, { nonce: null });
const stats: Stats = cache.stats();
const number: 203 = codes.vid_taken;

export async function job(user: number, change: string, request: IncomingMessage, body: Buffer): Promise<Recorded | null> {
  verifySignature('secret', { method: 'POST', uri: 'https://shop.test', body, headers: request.headers, takeV1: true });
  const stale: StaleChange[] = await cache.staleChanges({ olderThanMs: 3_600_000 });
  if (!(await cache.isChangeOutstanding(user, change))) return null;
  try {
    return await cache.record(user, { id: '901' }, { change, askedAtMs: Date.now() });
  } catch (error) {
    if (!(error instanceof VidcacheError)) throw error;
    const code: ErrorCode = error.code;
    const wait: number | null = error.retryAfterMs;
    console.log(code, wait, stale, reason, html, stats.lastError, number, version);
    return null;
  }
}

export async function wrong(): Promise<void> {
  // @ts-expect-error: it must be said how old.
  await cache.staleChanges();
  // @ts-expect-error: an email is asked for, even if there is none.
  cache.decide(42);
  // @ts-expect-error: there is no such option.
  new Cache('/tmp/x', 62515, { pageDeadline: 10 });
  // @ts-expect-error: a contact is text.
  const contact: number | null = cache.resolve(42);
  // @ts-expect-error: who decides is the library.
  new VidcacheError('busy');
  // @ts-expect-error: it is read only.
  decision.email = null;
  const paths: [string, string | null] = [await moveAside(new URL('file:///tmp/x')), await restore('a', 'b')];
  console.log(contact, paths);
}

export async function tables(pool: Pool, user: number): Promise<string> {
  const settings: DatabaseOptions = { secret: 'x', schema: 'shop', maxAgeMs: 1000, onStale: (why) => console.log(why.code) };
  const database: Database = await Database.open(pool, 62515, settings);
  const client: PoolClient = await pool.connect();
  const token: string = await database.within(client).beginEmailChange(user);
  const { turn, waitMs }: Turn = await database.turn(user, token, { atLeastMs: 20_000 });
  for await (const one of database.usersToRead({ confirmed: true })) console.log(one.vid, turn, waitMs);
  // @ts-expect-error: a secret is needed.
  await Database.open(pool, 62515, {});
  // @ts-expect-error: it is opened, since it asks.
  new Database(pool, 62515);
  // @ts-expect-error: there is no file to write.
  await Database.open(pool, 62515, { secret: 'x', durable: false });
  return migration({ schema: 'shop' }).join(';') + (await database.snippet(user, null));
}
