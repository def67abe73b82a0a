// Runs the race twice, with the usual snippet and with vidcache, and compares. `bin/demo` starts it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseOptions, ROOT, UsageError } from './args.mjs';
import { ask, openClient } from './client.mjs';
import { Judge, sum } from './judge.mjs';
import { FullLoads } from './loads.mjs';
import { Race } from './race.mjs';
import { elapsed, outcomeTable, Progress, scenarioTable } from './report.mjs';
import { plan, turboRounds } from './scenario.mjs';
import { Servers } from './servers.mjs';
import { hasSpa, SinglePage, SPA_USERS } from './spa.mjs';
import { turboFile, turboScenarios, TURBO_USERS } from './turbo/index.mjs';
import { verdict } from './verdict.mjs';

/** The account number of HubSpot's own documentation examples; every request to it stays on this machine. */
const PORTAL = 62515;

/** Long enough for the page that follows a change to come first in the slowest engine, on a busy machine. */
const DOUBLE_DELAY_MS = 1_000;
const PAGE_DEADLINE_S = 2;
const QUIET_PERIOD_S = 3;

/** The exit status of a process that SIGINT has ended. */
const INTERRUPTED = 130;

const POLICIES = /** @type {const} */ (['usual', 'vidcache']);

/** @param {import('./args.mjs').Options} options @returns {string[]} who takes part; the full loads' users come first */
function loginsFor({ changes, browser }) {
  const users = plan(changes).length + (browser ? TURBO_USERS + SPA_USERS : 0);
  return Array.from({ length: users }, (_, index) => `user${index + 1}`);
}

/**
 * A double and an app, on one host or several.
 * @typedef {{policy: 'usual'|'vidcache', doubleUrl: string, appUrl: string, given: () => number[]}} StartedPolicy
 *
 * @param {'usual'|'vidcache'} policy
 * @param {import('./args.mjs').Options} options
 * @param {Servers} servers
 * @returns {Promise<StartedPolicy>}
 */
async function start(policy, options, servers) {
  const doubleUrl = await servers.startDouble({ name: `${policy}-double`, portal: PORTAL, delayMs: DOUBLE_DELAY_MS });
  const { url, given } = await servers.startApp({
    name: policy,
    app: options.app,
    jobs: options.jobs,
    hosts: options.hosts,
    env: {
      HUBSPOT_API: doubleUrl,
      HUBSPOT_TOKEN: 'any',
      HUBSPOT_PORTAL: String(PORTAL),
      SNIPPET: policy,
      USERS: String(loginsFor(options).length),
      QUIET_PERIOD: String(QUIET_PERIOD_S),
      PAGE_DEADLINE: String(PAGE_DEADLINE_S),
      ...(options.browser && { TURBO: turboFile() }),
    },
  });
  return { policy, doubleUrl, appUrl: url, given };
}

/**
 * @param {StartedPolicy} started
 * @param {import('./args.mjs').Options} options
 * @returns {Promise<import('./report.mjs').Outcome>}
 */
async function runPolicy({ policy, doubleUrl, appUrl, given }, options) {
  const kinds = plan(options.changes);
  const logins = loginsFor(options);
  const before = await stateOf(doubleUrl);
  if (before.contacts.length !== logins.length) throw new Error(`the app was to create ${logins.length} contacts, the double has ${before.contacts.length}`);
  const driver = await openDriver(options, { appUrl, doubleUrl });
  try {
    const loads = new FullLoads({
      driver, logins: logins.slice(0, kinds.length), plan: kinds, deadlineMs: PAGE_DEADLINE_S * 1000, workerMs: QUIET_PERIOD_S * 1000 + DOUBLE_DELAY_MS,
    });
    const scenarios = [loads];
    const rounds = turboRounds(options.changes);
    const cast = logins.slice(kinds.length);
    if (options.browser && (await hasTurbo(appUrl))) scenarios.push(...turboScenarios({ driver, logins: cast.splice(0, TURBO_USERS), rounds }));
    if (options.browser && (await hasSpa(appUrl))) scenarios.push(new SinglePage({ driver, logins: cast.splice(0, SPA_USERS), rounds }));
    await drive(policy, new Race({ appUrl, scenarios }), scenarios);
    const after = await stateOf(doubleUrl);
    const findings = new Judge(before.contacts, driver.tabs ?? []).findings(after);
    return {
      policy,
      appUrl,
      doubleUrl,
      given: given(),
      contactsBefore: before.contacts.length,
      contactsAfter: after.contacts.length,
      total: sum([...findings.values()]),
      anonymous: after.anonymous_page_views.length,
      scenarios: scenarios.map(({ name, tally, logins: own }) => ({ name, tally, found: sum([...findings].filter(([login]) => own.includes(login)).map(([, found]) => found)) })),
      problems: driver.problems(),
      picture: await keepPicture(policy, doubleUrl, driver),
    };
  } finally {
    await driver.close();
  }
}

/** @returns {Promise<import('./client.mjs').Driver>} */
async function openDriver({ browser }, urls) {
  if (!browser) return openClient(urls);
  const { openEngine } = await import('./engine.mjs');
  return openEngine(browser, urls);
}

async function hasTurbo(appUrl) {
  return (await ask(`${appUrl}/turbo.js`)).ok;
}

/** Runs the race and says how far it is. */
async function drive(policy, race, scenarios) {
  const started = Date.now();
  const progress = new Progress(() => {
    const { round, rounds } = race.progress();
    const of = (name) => scenarios.reduce((total, { tally }) => total + tally[name], 0);
    return `${policy.padEnd(8)}  round ${round} of ${rounds}   ${of('changes')} email changes   ${of('pages')} pages   ${of('events')} events and clicks   ${elapsed(Date.now() - started)}`;
  });
  try {
    await race.open();
    await race.run();
  } finally {
    progress.end();
  }
}

async function stateOf(doubleUrl) {
  return (await ask(`${doubleUrl}/_double/state`)).json();
}

/** Keeps the double's page: a picture of it, or without a browser the page itself. */
async function keepPicture(policy, doubleUrl, driver) {
  const name = join('tmp', `demo-${policy}.${driver.screenshot ? 'png' : 'html'}`);
  if (driver.screenshot) await driver.screenshot(doubleUrl, join(ROOT, name));
  else writeFileSync(join(ROOT, name), await (await ask(doubleUrl)).text());
  return name;
}

/** @param {import('./report.mjs').Outcome[]} outcomes @param {import('./args.mjs').Options} options */
function print(outcomes, { browser }) {
  console.log(`\n${outcomeTable(outcomes)}`);
  console.log('\nunheld: requests that named an email which HubSpot did not hold. mistaken: requests that spoke for somebody else.\n');
  if (outcomes[0].scenarios.length > 1) console.log(`${scenarioTable(outcomes)}\n`);
  else console.log(`Full loads only: ${browser ? 'the app serves no Turbo.' : 'Turbo and single-page apps need a browser.'}\n`);
  for (const { policy, scenarios, picture, problems, given } of outcomes) {
    const tally = (name) => scenarios.reduce((total, scenario) => total + scenario.tally[name], 0);
    const unsent = tally('silent') > 0 ? `, ${tally('silent')} pages and clicks told HubSpot nothing` : '';
    const margin = ' '.repeat(policy.length);
    console.log(`${policy}: ${tally('namedEmail')} of ${tally('pages')} pages named an email, ${tally('namedId')} the id alone, ${tally('namedNobody')} nobody${unsent}`);
    console.log(`${margin}  once the worker had finished, ${tally('confirmed')} of ${tally('checked')} pages named the user's new email`);
    if (given.length > 0) console.log(`${margin}  the ${given.length} web hosts were given ${given.join(', ')} requests; they share a PostgreSQL and no disk, and so does the worker's host`);
    console.log(`${margin}  ${picture} shows HubSpot's contacts`);
    for (const problem of problems) console.log(`${margin}  note: ${problem}`);
  }
}

function printAddresses(outcomes) {
  console.log('\nLeft running; Ctrl-C ends it.');
  for (const { policy, appUrl, doubleUrl } of outcomes) {
    console.log(`  ${policy.padEnd(8)}  app ${appUrl}/sign_in (user1, user2, …)   HubSpot double ${doubleUrl}`);
  }
  // HubSpot's hosts are https only, so without the race's interception a browser can be kept from them but not sent to
  // the double.
  console.log(`The app's pages ask HubSpot for its tracking code. To look at them without reaching HubSpot:
  chromium --user-data-dir="$(mktemp -d)" --host-resolver-rules="MAP * ~NOTFOUND, EXCLUDE 127.0.0.1" ${outcomes.at(-1).appUrl}/sign_in`);
}

/**
 * Both races, and what they show. In a browser one comes after the other, each with the machine for itself; the client
 * mostly waits, and so do both at once.
 * @param {import('./args.mjs').Options} options
 * @param {Servers} servers
 * @returns {Promise<number>} exit status
 */
async function compare(options, servers) {
  const all = await Promise.all(POLICIES.map((policy) => start(policy, options, servers)));
  const outcomes = options.browser ? [] : await Promise.all(all.map((started) => runPolicy(started, options)));
  if (options.browser) for (const started of all) outcomes.push(await runPolicy(started, options));
  print(outcomes, options);
  const failures = verdict(outcomes);
  for (const failure of failures) console.log(`failed: ${failure}`);
  if (options.serve) printAddresses(outcomes);
  console.log(`duplicates: ${outcomes.map(({ policy, total }) => `${policy}=${total.duplicates}`).join(' ')}`);
  return failures.length === 0 ? 0 : 1;
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  mkdirSync(join(ROOT, 'tmp'), { recursive: true });
  const servers = new Servers(join(ROOT, 'tmp/demo'));
  const interrupted = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => resolve(INTERRUPTED));
  });
  try {
    const status = await Promise.race([compare(options, servers), interrupted]);
    if (options.serve && status !== INTERRUPTED) await interrupted;
    return status;
  } catch (error) {
    for (const casualty of servers.casualties()) console.error(casualty);
    throw error;
  } finally {
    await servers.stop();
  }
}

main().then((status) => process.exit(status), (error) => {
  console.error(`demo: ${error instanceof UsageError ? `${error.message} (see bin/demo --help)` : [error.stack, error.cause && `because ${error.cause.message}`].filter(Boolean).join('\n')}`);
  process.exit(error instanceof UsageError ? 2 : 1);
});
