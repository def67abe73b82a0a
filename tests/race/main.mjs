// Runs the race twice, with the usual snippet and with vidcache, and compares. `bin/demo` starts it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchChromium, openDriver, screenshot } from './browser.mjs';
import { parseOptions, ROOT, UsageError } from './args.mjs';
import { openClient } from './client.mjs';
import { Race } from './race.mjs';
import { elapsed, Progress, table } from './report.mjs';
import { plan } from './scenario.mjs';
import { Servers } from './servers.mjs';

/** The account number of HubSpot's own documentation examples; every request to it stays on this machine. */
const PORTAL = 62515;

const DOUBLE_DELAY_MS = 300;
const PAGE_DEADLINE_S = 2;
const QUIET_PERIOD_S = 3;

/** The exit status of a process that SIGINT has ended. */
const INTERRUPTED = 130;

const POLICIES = /** @type {const} */ (['usual', 'vidcache']);

/**
 * @typedef {object} Outcome
 * @property {'usual'|'vidcache'} policy
 * @property {string} appUrl
 * @property {string} doubleUrl
 * @property {number} contactsBefore
 * @property {number} contactsAfter
 * @property {number} duplicates
 * @property {number} anonymous  page views that were never stitched to a contact
 * @property {import('./race.mjs').Tally} tally
 * @property {string[]} problems
 * @property {string} picture    file
 */

/**
 * @param {'usual'|'vidcache'} policy
 * @param {import('./args.mjs').Options} options
 * @param {Servers} servers
 * @param {import('playwright-core').Browser|null} browser
 * @returns {Promise<Outcome>}
 */
async function runPolicy(policy, options, servers, browser) {
  const kinds = plan(options.changes);
  const doubleUrl = await servers.startDouble({ name: `${policy}-double`, portal: PORTAL, delayMs: DOUBLE_DELAY_MS });
  const appUrl = await servers.startApp({
    name: policy,
    app: options.app,
    jobs: options.jobs,
    env: {
      HUBSPOT_API: doubleUrl,
      HUBSPOT_TOKEN: 'any',
      HUBSPOT_PORTAL: String(PORTAL),
      SNIPPET: policy,
      USERS: String(kinds.length),
      QUIET_PERIOD: String(QUIET_PERIOD_S),
      PAGE_DEADLINE: String(PAGE_DEADLINE_S),
    },
  });
  const driver = browser ? openDriver(browser, { appUrl, doubleUrl }) : openClient({ appUrl, doubleUrl });
  const race = new Race({ driver, appUrl, plan: kinds, deadlineMs: PAGE_DEADLINE_S * 1000, workerMs: QUIET_PERIOD_S * 1000 + DOUBLE_DELAY_MS });
  const before = await stateOf(doubleUrl);
  if (before.contacts.length !== kinds.length) throw new Error(`the app was to create ${kinds.length} contacts, the double has ${before.contacts.length}`);

  const started = Date.now();
  const progress = new Progress(() => {
    const { round, rounds, changes, pages } = race.progress();
    return `${policy.padEnd(8)}  round ${round} of ${rounds}   ${changes} of ${options.changes} email changes   ${pages} pages   ${elapsed(Date.now() - started)}`;
  });
  let tally;
  try {
    await race.signIn();
    tally = await race.run();
  } finally {
    progress.end();
    await driver.close();
  }
  const after = await stateOf(doubleUrl);
  return {
    policy,
    appUrl,
    doubleUrl,
    contactsBefore: before.contacts.length,
    contactsAfter: after.contacts.length,
    duplicates: after.duplicates.length,
    anonymous: after.anonymous_page_views.length,
    tally,
    problems: driver.problems(),
    picture: await keepPicture(policy, doubleUrl, browser),
  };
}

async function stateOf(doubleUrl) {
  return (await fetch(`${doubleUrl}/_double/state`)).json();
}

/** Keeps the double's page: a picture of it, or without a browser the page itself. */
async function keepPicture(policy, doubleUrl, browser) {
  const name = join('tmp', `demo-${policy}.${browser ? 'png' : 'html'}`);
  if (browser) await screenshot(browser, doubleUrl, join(ROOT, name));
  else writeFileSync(join(ROOT, name), await (await fetch(doubleUrl)).text());
  return name;
}

/** @param {Outcome[]} outcomes */
function print(outcomes) {
  const head = ['policy', 'email changes', 'pages', 'contacts before', 'contacts after', 'duplicates', 'page views left anonymous'];
  const rows = outcomes.map(({ policy, tally, contactsBefore, contactsAfter, duplicates, anonymous }) =>
    [policy, tally.changes, tally.pages, contactsBefore, contactsAfter, duplicates, anonymous]);
  console.log(`\n${table(head, rows)}\n`);
  for (const { policy, tally, picture, problems } of outcomes) {
    const unsent = tally.silent > 0 ? `, ${tally.silent} sent no page view` : '';
    console.log(`${policy}: ${tally.namedEmail} of ${tally.pages} pages named an email, ${tally.namedId} the id alone, ${tally.namedNobody} nobody${unsent}`);
    console.log(`${' '.repeat(policy.length)}  once the worker had finished, ${tally.confirmed} of ${tally.checked} pages named the user's new email`);
    console.log(`${' '.repeat(policy.length)}  ${picture} shows HubSpot's contacts`);
    for (const problem of problems) console.log(`${' '.repeat(policy.length)}  note: ${problem}`);
  }
}

/**
 * @param {Outcome[]} outcomes
 * @returns {string[]} why the race does not show what it is to show; none if it does
 */
function verdict([usual, vidcache]) {
  const failures = [];
  const surplus = (outcome) => outcome.contactsAfter - outcome.contactsBefore;
  if (usual.duplicates === 0) failures.push('the usual snippet made no duplicate: the race was not run');
  if (vidcache.duplicates > 0) failures.push(`vidcache made ${vidcache.duplicates} of them`);
  // Nobody new came in the race, so each contact too many is a duplicate, recognised as one or not.
  if (vidcache.duplicates === 0 && surplus(vidcache) !== 0) failures.push(`with vidcache there are ${surplus(vidcache)} contacts more than before`);
  if (vidcache.tally.confirmed < vidcache.tally.checked) {
    failures.push(`with vidcache, ${vidcache.tally.checked - vidcache.tally.confirmed} of ${vidcache.tally.checked} pages did not name the email that HubSpot had confirmed`);
  }
  return failures;
}

function printAddresses(outcomes) {
  console.log('\nLeft running; Ctrl-C ends it.');
  for (const { policy, appUrl, doubleUrl } of outcomes) {
    console.log(`  ${policy.padEnd(8)}  app ${appUrl}/sign_in (user1, user2, …)   HubSpot double ${doubleUrl}`);
  }
  // HubSpot's hosts are https only, so without the race's interception a browser can be kept from them but not sent to the double.
  console.log(`The app's pages ask HubSpot for its tracking code. To look at them without reaching HubSpot:
  chromium --user-data-dir="$(mktemp -d)" --host-resolver-rules="MAP * ~NOTFOUND, EXCLUDE 127.0.0.1" ${outcomes.at(-1).appUrl}/sign_in`);
}

/**
 * Both races, one after the other, and what they show.
 * @param {import('./args.mjs').Options} options
 * @param {Servers} servers
 * @param {import('playwright-core').Browser|null} browser
 * @returns {Promise<number>} exit status
 */
async function compare(options, servers, browser) {
  const outcomes = [];
  for (const policy of POLICIES) {
    outcomes.push(await runPolicy(policy, options, servers, browser));
    if (!options.serve) await servers.stop();
  }
  print(outcomes);
  const failures = verdict(outcomes);
  for (const failure of failures) console.log(`failed: ${failure}`);
  if (options.serve) printAddresses(outcomes);
  console.log(`duplicates: ${outcomes.map(({ policy, duplicates }) => `${policy}=${duplicates}`).join(' ')}`);
  return failures.length === 0 ? 0 : 1;
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  mkdirSync(join(ROOT, 'tmp'), { recursive: true });
  const servers = new Servers(join(ROOT, 'tmp/demo'));
  const interrupted = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => resolve(INTERRUPTED));
  });
  let browser = null;
  try {
    if (options.browser) browser = await launchChromium();
    const status = await Promise.race([compare(options, servers, browser), interrupted]);
    if (options.serve && status !== INTERRUPTED) await interrupted;
    return status;
  } catch (error) {
    for (const casualty of servers.casualties()) console.error(casualty);
    throw error;
  } finally {
    await browser?.close();
    await servers.stop();
  }
}

main().then((status) => process.exit(status), (error) => {
  console.error(`demo: ${error instanceof UsageError ? `${error.message} (see bin/demo --help)` : error.stack}`);
  process.exit(error instanceof UsageError ? 2 : 1);
});
