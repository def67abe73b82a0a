'use strict';
// Finds and loads the library of this platform, which is in the package; says in a sentence what is wrong with it.

const { existsSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { version } = require('../package.json');

const FOLDER = join(__dirname, '..', 'prebuilt');

/** Which C library this Node was built with, on Linux: the two have libraries of their own. */
function libc() {
  if (process.platform !== 'linux') return '';
  // Asking the network's names would take seconds on some machines.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime ? '-gnu' : '-musl';
}

function load() {
  const platform = `${process.platform}-${process.arch}${libc()}`;
  const file = join(FOLDER, `${platform}.node`);
  if (!existsSync(file)) {
    const there = existsSync(FOLDER) ? readdirSync(FOLDER).map((name) => name.replace('.node', '')) : [];
    throw new Error(`vidcache: this package has no library for ${platform}; it has those for ${there.join(', ') || 'no platform'}. Install one that was built for this platform, or build it there: bindings/node/build`);
  }
  let found;
  try {
    found = require(file);
  } catch (error) {
    throw new Error(`vidcache: the library of this package cannot be loaded: it is of another system, older or newer, or was cut off; install the package again: ${error.message}`, { cause: error });
  }
  if (found.libraryVersion() !== version) {
    throw new Error(`vidcache: this is version ${version}, and its native library is ${found.libraryVersion()}: install the package again`);
  }
  return found;
}

module.exports = { native: load(), version };
