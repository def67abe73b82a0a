// Starting and stopping what the race needs: doubles, apps, workers, a redis-server, a PostgreSQL. Each is stopped by
// the process group that was started for it; nothing is ever looked up by name.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './args.mjs';
import { Balancer } from './balancer.mjs';
import { Postgres } from './postgres.mjs';

/**
 * How long an app may take until `GET /up` answers 200: a Rails app boots, seeds, and calls the double for each user.
 */
const READY_TIMEOUT_MS = 120_000;

/** How long a process may take to end after SIGTERM. */
const STOP_TIMEOUT_MS = 8_000;

/** Lines of a log that an error quotes: Ruby tells the error first and where it came from after it. */
const QUOTED_LINES = 60;

/**
 * @typedef {object} Started
 * @property {string} name
 * @property {string} log  its log file
 * @property {import('node:child_process').ChildProcess} child
 * @property {Promise<void>} ended
 */

export class Servers {
  /** @type {Set<Started>} */
  #running = new Set();
  /** @type {Balancer[]} */
  #balancers = [];
  /** @type {Promise<Postgres>|undefined} */
  #postgres;
  #folder;

  /** @param {string} folder  for logs and data; emptied */
  constructor(folder) {
    this.#folder = folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    // The last resort, for an exit that nobody planned.
    process.on('exit', () => {
      for (const { child } of this.#running) signalGroup(child, 'SIGKILL');
    });
  }

  /**
   * @param {{name: string, portal: number, delayMs: number}} options
   * @returns {Promise<string>} the double's url
   */
  async startDouble({ name, portal, delayMs }) {
    const started = this.#start(name, process.execPath, [join(ROOT, 'tests/hubspot/server.mjs'), '--portal', String(portal), '--delay-ms', String(delayMs)], {});
    let output = '';
    started.child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await this.#until(started, async () => output.includes('\n'));
    return JSON.parse(output.slice(0, output.indexOf('\n'))).url;
  }

  /**
   * Starts an example app by the contract all of them follow, and its worker if the jobs have one. On several hosts
   * each process has a folder of its own, the worker too; what they share is a PostgreSQL, a redis-server, and the
   * balancer before them.
   * @param {object} options
   * @param {string} options.name
   * @param {string} options.app    folder with bin/serve and, for sidekiq, bin/worker
   * @param {'async'|'sidekiq'} options.jobs
   * @param {number|null} [options.hosts]  how many serve; null: one, with its disk
   * @param {Record<string, string>} options.env  HUBSPOT_API and the like
   * @returns {Promise<{url: string, given: () => number[]}>} where the app is, and how many requests each host was given
   */
  async startApp({ name, app, jobs, hosts = null, env }) {
    const shared = { ...env, JOBS: jobs };
    if (jobs === 'sidekiq') shared.REDIS_URL = await this.#startRedis(`${name}-redis`);
    if (hosts !== null) {
      shared.DATABASE_URL = (await this.#startPostgres()).database(name);
      shared.SECRET_KEY_BASE = randomBytes(64).toString('hex');
    }
    const folderOf = (host) => (hosts === null ? name : `${name}-${host}`);
    // The first one makes the tables and the customers.
    const first = await this.#serve({ name: folderOf('web1'), app, env: shared });
    const others = Array.from({ length: (hosts ?? 1) - 1 }, (_, index) => this.#serve({ name: folderOf(`web${index + 2}`), app, env: shared }));
    const urls = [first, ...await Promise.all(others)];
    if (jobs === 'sidekiq') this.#start(`${name}-worker`, join(app, 'bin/worker'), [], this.#on(folderOf('worker'), shared), { cwd: app });
    if (hosts === null) return { url: first, given: () => [] };
    const balancer = new Balancer(urls);
    this.#balancers.push(balancer);
    return { url: await balancer.listen(), given: () => balancer.given };
  }

  /** A host's process that answers requests. @returns {Promise<string>} where */
  async #serve({ name, app, env }) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const started = this.#start(`${name}-app`, join(app, 'bin/serve'), [], { ...this.#on(name, env), PORT: String(port) }, { cwd: app });
    await this.#until(started, async () => (await fetch(`${url}/up`)).status === 200);
    return url;
  }

  /** @returns {Record<string, string>} the environment of a host with that folder */
  #on(name, env) {
    const folder = join(this.#folder, `${name}-data`);
    mkdirSync(folder, { recursive: true });
    return { ...env, DATA_DIR: folder };
  }

  /** @returns {string[]} what has ended though nobody stopped it, with the end of its log */
  casualties() {
    return [...this.#running]
      .filter(({ child }) => child.exitCode !== null || child.signalCode !== null)
      .map((started) => `${started.name} has ended (${started.child.exitCode ?? started.child.signalCode}):\n${tail(started.log)}`);
  }

  /** Stops everything, the latest first. */
  async stop() {
    await Promise.all(this.#balancers.splice(0).map((balancer) => balancer.close()));
    for (const started of [...this.#running].reverse()) {
      signalGroup(started.child, 'SIGTERM');
      const late = new AbortController();
      await Promise.race([started.ended, sleep(STOP_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
      signalGroup(started.child, 'SIGKILL');
      this.#running.delete(started);
    }
    await this.#postgres?.then((postgres) => postgres.remove(), () => {});
  }

  /** @returns {Promise<Postgres>} one for all apps */
  #startPostgres() {
    this.#postgres ??= (async () => {
      const postgres = new Postgres();
      const [program, args, options] = postgres.command();
      const started = this.#start('postgres', program, args, {}, options);
      await this.#until(started, async () => postgres.isReady());
      return postgres;
    })();
    return this.#postgres;
  }

  /** A redis-server that keeps nothing. */
  async #startRedis(name) {
    const port = await freePort();
    const started = this.#start(name, 'redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#folder], {});
    await this.#until(started, async () => readFileSync(started.log, 'utf8').includes('Ready to accept connections'));
    return `redis://127.0.0.1:${port}/0`;
  }

  /** @returns {Started} */
  #start(name, command, args, env, options = {}) {
    const log = join(this.#folder, `${name}.log`);
    const file = createWriteStream(log);
    // A group of its own, so that an app's own children (puma's workers, a shell's) end with it.
    const child = spawn(command, args, { cwd: ROOT, ...options, env: { ...process.env, ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.pipe(file, { end: false });
    const ended = new Promise((resolve) => {
      child.once('close', resolve).once('error', (error) => {
        file.write(`${error.message}\n`);
        child.exitCode ??= 127;
        resolve();
      });
    });
    const started = { name, log, child, ended };
    this.#running.add(started);
    return started;
  }

  async #until(started, isReady) {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (Date.now() < deadline) {
      const dead = started.child.exitCode !== null || started.child.signalCode !== null;
      if (dead) {
        await started.ended;
        await sleep(100); // its last words may still be on the way into the log
        signalGroup(started.child, 'SIGKILL');
        this.#running.delete(started);
        throw new Error(`${started.name} did not start:\n${tail(started.log)}`);
      }
      if (await isReady().catch(() => false)) return;
      await sleep(50);
    }
    throw new Error(`${started.name} was not ready in ${READY_TIMEOUT_MS / 1000} s:\n${tail(started.log)}`);
  }
}

/** @returns {Promise<number>} a loopback port that is free now */
async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Signals a process we started, and the children of its group. */
function signalGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function tail(file) {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-QUOTED_LINES).map((line) => `  | ${line}`).join('\n');
}
