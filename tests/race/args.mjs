// The race's command line. `bin/demo --help` describes it.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const BROWSERS = ['chromium', 'firefox', 'webkit'];

/** A command line that cannot be run: exit status 2. */
export class UsageError extends Error {}

/**
 * @typedef {object} Options
 * @property {number} changes    email changes by full loads, per policy
 * @property {'chromium'|'firefox'|'webkit'|null} browser  null: the client that runs the snippet without one
 * @property {'async'|'sidekiq'} jobs
 * @property {number|null} hosts  how many serve, without a common disk; null: one, with its disk
 * @property {boolean} serve     leave everything running afterwards
 * @property {string} app        the example app's folder, with bin/serve in it
 */

/**
 * @param {string[]} argv
 * @returns {Options}
 * @throws {UsageError}
 */
export function parseOptions(argv) {
  let values;
  try {
    ({ values } = parseArgs({
      args: argv,
      options: {
        browser: { type: 'string' },
        changes: { type: 'string', default: '12' },
        'no-browser': { type: 'boolean', default: false },
        sidekiq: { type: 'boolean', default: false },
        hosts: { type: 'string' },
        serve: { type: 'boolean', default: false },
        app: { type: 'string', default: join(ROOT, 'examples/rails') },
      },
    }));
  } catch (error) {
    throw new UsageError(error.message);
  }
  const changes = Number(values.changes);
  if (!Number.isSafeInteger(changes) || changes < 1) throw new UsageError(`--changes must be a whole number from 1 on, not ${values.changes}`);
  if (values.browser !== undefined && values['no-browser']) throw new UsageError('--browser and --no-browser are not for the same race');
  const browser = values['no-browser'] ? null : values.browser ?? 'chromium';
  if (browser !== null && !BROWSERS.includes(browser)) throw new UsageError(`--browser is one of ${BROWSERS.join(', ')}, not ${browser}`);
  const hosts = values.hosts === undefined ? null : Number(values.hosts);
  if (hosts !== null && !(Number.isSafeInteger(hosts) && hosts > 1)) throw new UsageError(`--hosts must be a whole number from 2 on, not ${values.hosts}`);
  // The worker is a host of its own.
  const jobs = values.sidekiq || hosts !== null ? 'sidekiq' : 'async';
  const app = resolve(values.app);
  for (const program of jobs === 'sidekiq' ? ['bin/serve', 'bin/worker'] : ['bin/serve']) {
    if (!existsSync(join(app, program))) throw new UsageError(`no app to race: ${join(app, program)} does not exist`);
  }
  return { changes, browser, jobs, hosts, serve: values.serve, app };
}
