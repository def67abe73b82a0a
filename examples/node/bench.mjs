// What the calls cost from here: node bench.mjs. Each line of JSON is a call and the nanoseconds of the median of nine
// rounds.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cache } from 'vidcache';

const folder = mkdtempSync(join(tmpdir(), 'vidcache-node-'));
const cache = new Cache(join(folder, 'bench'), 62515, { secret: 'thirty-two bytes kept out of it.' });
await cache.record(42, '{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}');

function measure(name, work) {
  const calls = 20_000;
  const rounds = Array.from({ length: 9 }, () => {
    const start = process.hrtime.bigint();
    for (let call = 0; call < calls; call++) work();
    return Number(process.hrtime.bigint() - start) / calls;
  });
  console.log(JSON.stringify({ call: name, ns: Math.round(rounds.sort((a, b) => a - b)[4]) }));
}

const map = new Map([[42, 901]]);
measure('Map.get', () => map.get(42));
measure('resolve', () => cache.resolve(42));
measure('decide', () => cache.decide(42, 'ann@shop.test'));
measure('snippet', () => cache.snippet(42, 'ann@shop.test', { nonce: 'n0nce' }));
cache.close();
cache.close();
rmSync(folder, { recursive: true });
