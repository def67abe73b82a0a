'use strict';
// Sends the statements of an exchange by the app's own client of PostgreSQL: one of the package pg, or like it.

const { createHash } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { failure } = require('./errors.js');

/** Connections whose server has a statement no more that the client takes for prepared, after a DISCARD ALL. */
const forgetful = new WeakSet();
const names = new Map();
/** A connection that goes away while it is ours says so by an event, too, which nobody else hears then. */
const heard = () => {};

/** The name of a statement, which is the same for all users, so there are three of a schema. */
function nameOf(text) {
  if (!names.has(text)) names.set(text, `vidcache_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`);
  return names.get(text);
}

/** The text that the statement gives; null: no row, or nothing to give. */
async function send(client, { statement, parameters, asks }, prepares) {
  if (!asks) {
    await client.query(statement);
    return null;
  }
  const query = { text: statement, rowMode: 'array' };
  if (parameters.length > 0) {
    query.values = parameters;
    if (prepares && !forgetful.has(client)) query.name = nameOf(statement);
  }
  const [row] = (await client.query(query)).rows;
  return row === undefined || row[0] === null ? null : String(row[0]);
}

/** What the server says of a failure, by its SQLSTATE; empty where none answered. The pool's own codes are no such. */
function stateOf(error) {
  return /^[0-9A-Z]{5}$/.test(error?.code ?? '') && error.severity !== undefined ? error.code : '';
}

async function taken(pool) {
  const client = await pool.connect();
  client.on?.('error', heard);
  return client;
}

/** Does what `make` begins, on the client of a transaction of the app's or on one of the pool's. */
async function exchange(make, { pool, client: given, prepares }) {
  let client = given;
  let broken;
  try {
    const exchanging = make(given !== undefined);
    let next = exchanging.answered();
    while (typeof next.statement === 'string') {
      if (next.waitMs > 0) await sleep(next.waitMs);
      let said;
      let state;
      try {
        // Whatever is sent behind a connection that has gone would wait for another one.
        if (broken === undefined) {
          client ??= await taken(pool);
          said = await send(client, next, prepares);
        } else state = '';
      } catch (error) {
        state = stateOf(error);
        if (state === '26000') forgetful.add(client);
        // The server that goes down says so, and then closes.
        if (/^(08|57P|$)/.test(state)) broken = error;
      }
      next = state === undefined ? exchanging.answered(said ?? undefined) : exchanging.refused(state);
    }
    return next.outcome;
  } catch (error) {
    throw failure(error);
  } finally {
    if (client !== undefined && client !== given) {
      client.removeListener?.('error', heard);
      client.release(broken);
    }
  }
}

module.exports = { exchange };
