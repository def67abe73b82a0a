import { setTimeout as pause } from 'node:timers/promises';

/**
 * Waits until it holds, so that a test waits for what it needs and not for a time that a busy machine exceeds. When it
 * never does, the test's own assertion tells.
 * @param {() => unknown} holds
 */
export async function eventually(holds, ms = 30_000) {
  for (const until = Date.now() + ms; !(await holds()) && Date.now() < until; await pause(20));
}
