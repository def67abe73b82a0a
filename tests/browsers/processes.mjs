// Programs that a test starts, and the folders they write to: all gone when the test is over, however it ends.

import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** How long a program may take to end by itself once it is asked to. */
const ENDING_MS = 3_000;

/** @type {Set<Program>} */
const running = new Set();
/** @type {Set<string>} */
const folders = new Set();

// The last resort, for a run that dies between a start and its close.
process.on('exit', () => {
  for (const program of running) program.kill();
  for (const folder of folders) remove(folder);
});

/** @param {string} name @returns {string|null} the program's file, wherever PATH has it */
export function find(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // not in this folder
    }
  }
  return null;
}

/** A program in a process group of its own, so that whatever it started ends with it. */
export class Program {
  /** The last of what it printed, for messages. */
  printed = '';
  #child;
  #name;
  #ended;
  #how = '';

  /**
   * @param {string} file
   * @param {string[]} args
   * @param {{env?: NodeJS.ProcessEnv, stdio?: import('node:child_process').StdioOptions}} [options]
   */
  constructor(file, args, { env = process.env, stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
    this.#name = file;
    this.#child = spawn(file, args, { env, stdio, detached: true });
    running.add(this);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
    });
    this.#ended.then((how) => {
      this.#how = how;
    });
    for (const stream of this.#child.stdio.slice(1)) {
      stream?.setEncoding('utf8').on('data', (text) => {
        this.printed = (this.printed + text).slice(-20_000);
      });
    }
  }

  /**
   * Waits for a text that the program prints once it is ready.
   * @param {RegExp} pattern
   * @param {number} ms
   * @returns {Promise<RegExpExecArray>}
   */
  async says(pattern, ms) {
    for (const until = Date.now() + ms; Date.now() < until && !this.#how; await pause(10)) {
      const match = pattern.exec(this.printed);
      if (match) return match;
    }
    throw new Error(this.ended() ?? `${this.#name} was not ready after ${ms} ms: ${this.#last()}`);
  }

  /** Ends the group at once. */
  kill() {
    this.#signal('SIGKILL');
  }

  /** @returns {string|null} how the program ended, and what it printed last; null while it runs */
  ended() {
    return this.#how ? `${this.#name} ended (${this.#how}): ${this.#last()}` : null;
  }

  #last() {
    return this.printed.trim().slice(-1_000);
  }

  /** Waits until the program has ended by itself. */
  async ends(ms) {
    await within(this.#ended, ms, `the end of ${this.#name}`);
    await this.close();
  }

  /** Asks the program to end, and ends its group if it does not. */
  async close() {
    if (!running.has(this)) return;
    this.#signal('SIGTERM');
    await Promise.race([this.#ended, pause(ENDING_MS, undefined, { ref: false })]);
    this.kill();
    await this.#ended;
    running.delete(this);
  }

  #signal(signal) {
    if (!this.#child.pid) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // there is no such group any more
    }
  }
}

/** @param {string} name @returns {string} a new folder, removed at the end of the run if not before */
export function newFolder(name) {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  folders.add(folder);
  return folder;
}

/** @param {string} folder */
export function remove(folder) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.delete(folder);
}

/** @returns {Promise<number>} a port of 127.0.0.1 that nobody listened on a moment ago */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {string} what
 * @returns {Promise<T>} rejects when the time is over
 */
export function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
