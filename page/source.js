// The file that a page of an app's own loads: the guard (src/snippet.js), and how it is told who is shown.
// `build.mjs` puts the guard in place of GUARD and makes an ES module and a classic script of this.
const guard = GUARD;
let shown;

// Milliseconds since a moment of this document. Of two clocks the one that is ahead counts, as in the guard.
const since = moment => Math.max(performance.now() - moment.now, Date.now() - moment.wall);
const moment = () => ({ now: performance.now(), wall: Date.now() });

const run = (data, late) => {
  shown = Object.assign({}, data);
  guard(window, document, shown, late);
  shown = Object.assign(moment(), { at: shown.at + (late < Infinity ? late : 0) });
};

export const show = data => {
  const asked = moment();
  // A promise that was kept is there at once: then nobody knows when its data was asked for.
  if (data && typeof data.then == 'function') return data.then(data => run(data, since(asked) < 1 ? Infinity : since(asked)));
  run(data, Infinity);
};

export const signedOut = () => {
  (window._hsq = window._hsq || []).push(['resetVisitorIdentity']);
  run({ at: shown ? shown.at + since(shown) : 1 }, Infinity);
};
