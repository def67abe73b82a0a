// What a package says whose library is not right: missing, cut off, of another version. In a copy of the package.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const installed = dirname(createRequire(import.meta.url).resolve('vidcache/package.json'));

/** What requiring the package says after it was changed so. */
function said(change) {
  const folder = mkdtempSync(join(tmpdir(), 'vidcache-node-'));
  try {
    cpSync(installed, folder, { recursive: true });
    const [name] = readdirSync(join(folder, 'prebuilt'));
    change(folder, join(folder, 'prebuilt', name));
    const { status, stderr } = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(folder)})`], { encoding: 'utf8' });
    return status === 0 ? '' : stderr.split('\n').find((line) => line.startsWith('Error: '));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('as it is, it is required', () => assert.equal(said(() => {}), ''));

test('without a library for this platform it says which it has', () => {
  const found = said((folder, library) => renameSync(library, join(folder, 'prebuilt', 'plan9-mips.node')));
  assert.match(found, /^Error: vidcache: this package has no library for \S+; it has those for plan9-mips\. Install one/);
});

test('a library that is cut off', () => {
  assert.match(said((_, library) => truncateSync(library, 100)), /^Error: vidcache: the library of this package cannot be loaded: .*install the package again/);
});

test('a library for a newer C library names what it lacks', () => {
  const found = said((_, library) => {
    const bytes = readFileSync(library);
    const names = [...bytes.toString('latin1').matchAll(/GLIBC_2\.[0-9][0-9]/g)];
    if (names.length === 0) throw new Error('it asks for no glibc');
    for (const { index, 0: name } of names) bytes.write('GLIBC_9.99'.slice(0, name.length), index, 'latin1');
    writeFileSync(library, bytes);
  });
  assert.match(found, /^Error: vidcache: the library of this package cannot be loaded: .*GLIBC_9\.99/);
});

test('a library of another version', () => {
  const found = said((folder) => {
    const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...about, version: '9.9.9' }));
  });
  assert.match(found, /^Error: vidcache: this is version 9\.9\.9, and its native library is \d+\.\d+\.\d+: install the package again/);
});
