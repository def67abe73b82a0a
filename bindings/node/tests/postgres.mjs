// A PostgreSQL of the tests' own, on a socket in a temporary folder, and the package pg, which is the app's.

import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const SETTINGS = ['listen_addresses=', 'fsync=off', 'jit=off', 'max_connections=40'];
// Of the tests, and not of the package: NODE_PATH says where.
export const { Pool } = createRequire(import.meta.url)('pg');

function programs() {
  const of = (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres'));
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  return [...versions.map((version) => join(debian, version, 'bin')), ...process.env.PATH.split(':')].find(of);
}

/** Whom to run it as: it does not run as root. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  for (const user of ['postgres', 'nobody']) {
    try {
      const id = (option) => Number(execFileSync('id', [option, user], { stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // There is no such user.
    }
  }
  return null;
}

/** Why there can be none, or false. */
export function missing() {
  if (programs() === undefined) return "PostgreSQL's server is not installed";
  return unprivileged() === null && 'root has no user postgres or nobody to run PostgreSQL as';
}

export class Server {
  #folder;
  #process;

  static async start() {
    const server = new Server();
    const folder = (server.#folder = mkdtempSync('/tmp/vidcache-pg-'));
    const user = unprivileged();
    if (user.uid !== undefined) chownSync(folder, user.uid, user.gid);
    const made = ['--no-sync', '--auth=trust', '--username=app', '--encoding=UTF8', '--locale=C', '-D', join(folder, 'data')];
    execFileSync(join(programs(), 'initdb'), made, { ...user, cwd: folder, stdio: 'ignore' });
    const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
    server.#process = spawn(join(programs(), 'postgres'), ['-D', join(folder, 'data'), '-k', folder, ...settings], { ...user, cwd: folder, stdio: 'ignore' });
    for (let tries = 0; ; tries++) {
      const pool = server.pool();
      try {
        await pool.query('SELECT 1');
        return server;
      } catch (error) {
        if (tries > 300) throw error;
        await sleep(100);
      } finally {
        await pool.end();
      }
    }
  }

  pool(options) {
    const pool = new Pool({ host: this.#folder, user: 'app', database: 'postgres', max: 8, ...options });
    // A connection of the pool's that the server ended.
    pool.on('error', () => {});
    return pool;
  }

  async stop() {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGQUIT');
    await ended;
    rmSync(this.#folder, { recursive: true });
  }
}
