// A PostgreSQL of the race's own, on a socket in a temporary folder.

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What nobody needs whose data end with the race. */
const SETTINGS = ['listen_addresses=', 'fsync=off', 'max_connections=200'];

export class Postgres {
  #programs = programs();
  #user = unprivileged();
  // Not below tmp/: a socket's path has 107 bytes at the most.
  #folder = mkdtempSync(join(tmpdir(), 'race-pg-'));

  /** @throws {Error} it is not installed, or cannot be run as this user */
  constructor() {
    if (this.#user.uid !== undefined) chownSync(this.#folder, this.#user.uid, this.#user.gid);
    const options = ['--no-sync', '--auth=trust', '--username=shop', '--encoding=UTF8', '--locale=C', '-D', this.#data];
    this.#run('initdb', options);
  }

  /** @returns {[string, string[], object]} what starts the server: program, arguments, options */
  command() {
    const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
    return [join(this.#programs, 'postgres'), ['-D', this.#data, '-k', this.#folder, ...settings], { cwd: this.#folder, ...this.#user }];
  }

  /** @returns {boolean} whether it answers */
  isReady() {
    try {
      this.#run('pg_isready', ['--host', this.#folder]);
      return true;
    } catch {
      return false;
    }
  }

  /** @param {string} name @returns {string} the address of a new database */
  database(name) {
    this.#run('createdb', ['--host', this.#folder, '--username', 'shop', name]);
    return `postgresql://shop@${encodeURIComponent(this.#folder)}/${name}`;
  }

  /** Takes its data away, once it has ended. */
  remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #data() {
    return join(this.#folder, 'data');
  }

  #run(program, args) {
    execFileSync(join(this.#programs, program), args, { cwd: this.#folder, stdio: 'pipe', ...this.#user });
  }
}

/** @returns {string} the folder of the newest server's programs */
function programs() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((one, other) => Number(other) - Number(one)) : [];
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...(process.env.PATH ?? '').split(':')];
  const found = folders.find((folder) => ['initdb', 'postgres', 'createdb', 'pg_isready'].every((name) => existsSync(join(folder, name))));
  if (found === undefined) throw new Error('several hosts need PostgreSQL, which is not installed (Debian: postgresql)');
  return found;
}

/** @returns {{uid?: number, gid?: number}} whom to run it as: it does not run as root */
function unprivileged() {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = ['-u', '-g'].map((which) => Number(execFileSync('id', [which, name], { stdio: 'pipe' })));
      return { uid, gid };
    } catch {
      // There is no such user.
    }
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody');
}
