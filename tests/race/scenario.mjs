// Who changes their email, when, and to what.

/**
 * `once`: one change. `back`: a change and, while it is on its way, the change back (E1→E2→E1). `quick`: two changes,
 * the second right after the first.
 * @typedef {'once'|'back'|'quick'} Kind
 */

/** How many changes each kind makes. */
export const CHANGES_OF = { once: 1, back: 2, quick: 2 };

/** The order in which a user takes the kinds; users start at different places in it. */
const CYCLE = /** @type {Kind[]} */ (['back', 'once', 'quick', 'once']);

/** Users who race at a time; each has two browser profiles and four tabs. */
const MAX_USERS = 4;

/** Changes per user that the number of users goes by: enough for one of the double kinds and a single one. */
const CHANGES_PER_USER = 3;

/**
 * @param {number} changes  in all
 * @returns {Kind[][]} for each user, what to do in each round; the changes add up to `changes`
 */
export function plan(changes) {
  const users = Math.min(MAX_USERS, Math.ceil(changes / CHANGES_PER_USER));
  /** @type {Kind[][]} */
  const rounds = Array.from({ length: users }, () => []);
  let left = changes;
  for (let round = 0; left > 0; round++) {
    for (let user = 0; user < users && left > 0; user++) {
      const wanted = CYCLE[(2 * user + round) % CYCLE.length];
      const kind = CHANGES_OF[wanted] <= left ? wanted : 'once';
      rounds[user].push(kind);
      left -= CHANGES_OF[kind];
    }
  }
  return rounds;
}

/** Changes that one round of Turbo's scenarios makes, or nearly: a page of the app's own makes one besides. */
const TURBO_CHANGES = 4;

/**
 * @param {number} changes  by full loads
 * @returns {number} the rounds in which Turbo's scenarios make about as many
 */
export function turboRounds(changes) {
  return Math.max(1, Math.round(changes / TURBO_CHANGES));
}
