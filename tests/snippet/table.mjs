// What the requests of every case said in every engine, as a table for docs/browsers.md:
//
//   node tests/snippet/table.mjs            prints it
//   node tests/snippet/table.mjs --write    puts it into the page, in place of the one that is there
//
// It runs the browser suite (a few minutes). A case that fails is left out, and then the command ends with 1.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ENGINES } from '../browsers/index.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PAGE = new URL('../../docs/browsers.md', import.meta.url);
const BEGIN = '<!-- made by tests/snippet/table.mjs -->';
const END = '<!-- end -->';

/** The suite's files by name, and for each the lines that its cases wrote. */
function run() {
  const folder = mkdtempSync(join(tmpdir(), 'said-'));
  let failed = false;
  const files = readdirSync(HERE).filter((name) => name.endsWith('.test.mjs') && readFileSync(join(HERE, name), 'utf8').includes('inEveryEngine('));
  const parts = files.map((name) => {
    const said = join(folder, name);
    writeFileSync(said, '');
    const { status } = spawnSync(process.execPath, ['--test', join(HERE, name)], { env: { ...process.env, SAID: said }, stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) {
      console.error(`${name} failed`);
      failed = true;
    }
    return { name: name.replace('.test.mjs', ''), cases: readFileSync(said, 'utf8').split('\n').filter(Boolean).map((text) => JSON.parse(text)) };
  });
  rmSync(folder, { recursive: true });
  return { parts, failed };
}

/** `email, email, id` is `email ×2, id`; nothing at all is a dash. */
function words(said) {
  const runs = [];
  for (const word of said) {
    if (runs.at(-1)?.word === word) runs.at(-1).count += 1;
    else runs.push({ word, count: 1 });
  }
  return runs.map(({ word, count }) => (count > 1 ? `${word} ×${count}` : word)).join(', ') || '–';
}

/**
 * One row a case; where all engines said the same, one word for all. A case that is named after what an engine does has
 * its own row.
 */
function table({ name, cases }) {
  const rows = new Map();
  for (const { engine, name: what, said } of cases) rows.set(what, { ...rows.get(what), [engine]: words(said) });
  const lines = [...rows].map(([what, row]) => `| ${what.replaceAll('|', '\\|').replaceAll('<', '&lt;')} | ${ENGINES.map((engine) => row[engine] ?? '').join(' | ')} |`);
  return [`### \`${name}\``, '', `| case | ${ENGINES.join(' | ')} |`, `|---|${ENGINES.map(() => '---').join('|')}|`, ...lines, ''].join('\n');
}

const { parts, failed } = run();
const versions = new Map(parts.flatMap(({ cases }) => cases.map(({ engine, version }) => [engine, version])));
const text = `${BEGIN}
Seen with ${[...versions].sort().map(([engine, version]) => `${engine} ${version}`).join(', ')}.

${parts.map(table).join('\n')}${END}
`;
if (process.argv.includes('--write')) {
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(BEGIN);
  if (rest === undefined) throw new Error(`docs/browsers.md has no ${BEGIN}`);
  writeFileSync(PAGE, before + text.trimEnd() + rest.split(END)[1]);
} else {
  process.stdout.write(text);
}
process.exitCode = failed ? 1 : 0;
