// What the race prints: one line of progress, and the tables.

/** How often the progress line is renewed on a terminal, and repeated in a log. */
const TERMINAL_INTERVAL_MS = 200;
const LOG_INTERVAL_MS = 10_000;

/** Between the races on a terminal's line. */
const GAP = ' | ';

/**
 * A line that says how far a race is: rewritten in place on a terminal, repeated now and then in a log. Races that
 * run at once share a terminal's line.
 */
export class Progress {
  static #running = new Set();
  #out;
  #status;
  #timer;

  /**
   * @param {() => string} status
   * @param {NodeJS.WriteStream} [out]
   */
  constructor(status, out = process.stdout) {
    this.#out = out;
    this.#status = status;
    this.#timer = setInterval(() => this.#show(), out.isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS);
    this.#timer.unref();
    Progress.#running.add(this);
  }

  /** Ends it with the last status on a line of its own. */
  end() {
    clearInterval(this.#timer);
    Progress.#running.delete(this);
    if (this.#out.isTTY) this.#rewrite([this]);
    this.#out.write(this.#out.isTTY ? '\n' : `${this.#status()}\n`);
  }

  #show() {
    if (this.#out.isTTY) this.#rewrite([...Progress.#running]);
    else this.#out.write(`${this.#status()}\n`);
  }

  #rewrite(races) {
    const width = Math.max(20, (this.#out.columns ?? 80) - 1);
    const each = Math.floor((width - GAP.length * (races.length - 1)) / races.length);
    this.#out.write(`\r\x1b[K${races.map((race) => race.#status().slice(0, each)).join(GAP)}`);
  }
}

/**
 * @param {string[]} head
 * @param {(string|number)[][]} rows
 * @returns {string} numbers to the right, words to the left
 */
export function table(head, rows) {
  const columns = head.map((title, column) => {
    const cells = [title, ...rows.map((row) => String(row[column]))];
    const numeric = rows.every((row) => typeof row[column] === 'number');
    return { width: Math.max(...cells.map((cell) => cell.length)), numeric };
  });
  const line = (cells) => cells.map((cell, column) => {
    const { width, numeric } = columns[column];
    return numeric ? String(cell).padStart(width) : String(cell).padEnd(width);
  }).join('  ').trimEnd();
  return [line(head), line(columns.map(({ width }) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/**
 * What became of the race with one policy.
 * @typedef {object} Outcome
 * @property {'usual'|'vidcache'} policy
 * @property {string} appUrl
 * @property {string} doubleUrl
 * @property {number[]} given    requests that each of several hosts was given
 * @property {number} contactsBefore
 * @property {number} contactsAfter
 * @property {import('./judge.mjs').Finding} total
 * @property {number} anonymous  page views that were never stitched to a contact
 * @property {{name: string, tally: import('./tally.mjs').Tally, found: import('./judge.mjs').Finding}[]} scenarios
 * @property {string[]} problems
 * @property {string} picture    file
 */

/** @param {Outcome[]} outcomes @returns {string} a line for each policy */
export function outcomeTable(outcomes) {
  const head = ['policy', 'email changes', 'pages', 'events, clicks', 'contacts before', 'after', 'duplicates', 'unheld', 'mistaken', 'left anonymous'];
  return table(head, outcomes.map(({ policy, scenarios, contactsBefore, contactsAfter, total, anonymous }) => {
    const tally = (name) => scenarios.reduce((all, scenario) => all + scenario.tally[name], 0);
    return [policy, tally('changes'), tally('pages'), tally('events'), contactsBefore, contactsAfter, total.duplicates, total.unheld, total.mistaken, anonymous];
  }));
}

/** @param {Outcome[]} outcomes @returns {string} a line for each scenario: what went wrong, by policy */
export function scenarioTable(outcomes) {
  const head = ['duplicates / unheld / mistaken', ...outcomes.map(({ policy }) => policy)];
  return table(head, outcomes[0].scenarios.map(({ name }, index) =>
    [name, ...outcomes.map(({ scenarios }) => Object.values(scenarios[index].found).join(' / '))]));
}

/** @param {number} ms @returns {string} minutes and seconds */
export function elapsed(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
