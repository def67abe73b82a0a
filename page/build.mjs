// Makes what pages run of its sources: src/snippet.min.js (inline, in the library) of src/snippet.js, and vidcache.js,
// vidcache.classic.js (for pages of an app's own) of source.js and the same guard.
//
//   node page/build.mjs           writes the files
//   node page/build.mjs --check   ends with 1 if one of them is stale
import { readFileSync, writeFileSync } from 'node:fs';
import { minify } from 'terser';

const at = (path) => new URL(path, import.meta.url);
const read = (path) => readFileSync(at(path), 'utf8');
// ES2021, which all browsers read since September 2020: an older one refuses the script, and its pages name nobody. No
// `</script` can come of it, and nothing that is not ASCII.
const OPTIONS = { ecma: 2021, compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true }, format: { ascii_only: true, inline_script: true } };

/** The smallest form of an expression. */
async function expression(source) {
  const { code } = await minify(`it=${source}`, { ...OPTIONS, toplevel: true });
  return code.slice('it='.length).replace(/;$/, '');
}

const guard = await expression(read('../src/snippet.js'));
const source = read('source.js').replace('= GUARD;', () => `=\n${read('../src/snippet.js').trim()};`);
const head = '/* vidcache: what a page may say to HubSpot. MIT or Apache-2.0. */\n';
const { code: esModule } = await minify(source, { ...OPTIONS, module: true });
const classic = await expression(`(() => { ${source.replace(/^export /gm, '')}\nreturn { show, signedOut }; })()`);
const files = {
  '../src/snippet.min.js': `${guard}\n`,
  'vidcache.js': `${head}${esModule}\n`,
  'vidcache.classic.js': `${head}var vidcache=${classic};\n`,
};

const stale = Object.keys(files).filter((path) => {
  try {
    return read(path) !== files[path];
  } catch {
    return true;
  }
});
if (process.argv.includes('--check')) {
  if (stale.length > 0) console.error(`stale, run \`node page/build.mjs\`: ${stale.map((path) => at(path).pathname.split('/').slice(-2).join('/')).join(', ')}`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const path of stale) writeFileSync(at(path), files[path]);
  for (const [path, code] of Object.entries(files)) console.log(`${path}: ${Buffer.byteLength(code)} bytes`);
}
