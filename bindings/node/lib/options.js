'use strict';

const input = require('./input.js');

/** How to open, as the library takes it; `without` some of its options, and `besides` others of the caller's. */
function opened(opening, { without = [], besides = [] } = {}) {
  const options = input.object(opening);
  const given = {
    // Made by bindings/tables.
    secret: input.secret(options.secret),
    loaderHost: input.text(options.loaderHost, 'loaderHost'),
    memory: input.count(options.memory, 'memory'),
    busyTimeoutMs: input.count(options.busyTimeoutMs, 'busyTimeoutMs'),
    pageDeadlineMs: input.count(options.pageDeadlineMs, 'pageDeadlineMs'),
    durable: input.flag(options.durable, 'durable', true),
    oldSecrets: input.secrets(options.oldSecrets),
  };
  input.options(options, [...Object.keys(given).filter((name) => !without.includes(name)), ...besides]);
  return given;
}

module.exports = { opened };
