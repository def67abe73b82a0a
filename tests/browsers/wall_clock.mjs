// The wall clock of a browser, moved by the preload of wall_clock.c.

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newFolder, remove } from './processes.mjs';

const SOURCE = fileURLToPath(new URL('wall_clock.c', import.meta.url));

export class WallClock {
  /** Milliseconds that the browser's wall clock is ahead of this process's. */
  ahead = 0;
  #folder = newFolder('wall-clock');
  #file;

  constructor() {
    const library = join(this.#folder, 'wall_clock.so');
    try {
      execFileSync('cc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, SOURCE], { stdio: 'pipe' });
      this.#file = openSync(join(this.#folder, 'moved_by'), 'w+');
      this.set(0);
    } catch (error) {
      remove(this.#folder);
      throw error;
    }
    /** What a program's environment needs. */
    this.env = { LD_PRELOAD: library, WALL_CLOCK: join(this.#folder, 'moved_by') };
  }

  /** @param {number} milliseconds  negative: behind */
  set(milliseconds) {
    this.ahead = Math.round(milliseconds);
    const bytes = Buffer.alloc(8);
    if (endianness() === 'LE') bytes.writeBigInt64LE(BigInt(this.ahead));
    else bytes.writeBigInt64BE(BigInt(this.ahead));
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }

  close() {
    closeSync(this.#file);
    remove(this.#folder);
  }
}
