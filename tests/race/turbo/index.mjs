// Turbo's part of the race: its scenarios, and the copy of Turbo that the app serves.

import { createRequire } from 'node:module';
import { OpenTabs, SecondUser, Visits } from './scenarios.mjs';

/** How many users each scenario has. */
const CAST = [[Visits, 1], [OpenTabs, 1], [SecondUser, 2]];

/** Users who take part, besides those of the full loads. */
export const TURBO_USERS = CAST.reduce((sum, [, users]) => sum + users, 0);

/** @returns {string} the file, as bin/setup has installed it */
export function turboFile() {
  const require = createRequire(new URL('../../snippet/package.json', import.meta.url));
  return require.resolve('@hotwired/turbo/dist/turbo.es2017-umd.js');
}

/**
 * @param {{driver: import('../client.mjs').Driver, logins: string[], rounds: number}} options
 * @returns {import('../race.mjs').Scenario[]}
 */
export function turboScenarios({ driver, logins, rounds }) {
  const left = [...logins];
  return CAST.map(([Scenario, users]) => new Scenario({ driver, logins: left.splice(0, users), rounds }));
}
