// The file that a page of an app's own loads: the guard (src/snippet.js), and how it is told who is shown.
// `build.mjs` puts the guard in place of GUARD and makes an ES module and a classic script of this.
const guard = GUARD;
let shown, asks = 0, latest = 0;

// Milliseconds since a moment of this document. Of two clocks the one that is ahead counts, as in the guard.
const since = moment => Math.max(performance.now() - moment.now, Date.now() - moment.wall);

const run = (data, late) => {
  shown = Object.assign({}, data);
  guard(window, document, shown, late);
};

export const show = data => {
  if (!data || typeof data.then != 'function') return run(data, Infinity);
  const asked = { now: performance.now(), wall: Date.now() }, turn = ++asks;
  // A promise that was kept is there before the next task: then nobody knows when its data was asked for.
  let kept = true;
  setTimeout(() => kept = false, 0);
  return data.then(data => {
    // What was asked for before a sign-out, or before what is shown already, comes too late.
    if (turn < latest) return;
    latest = turn;
    run(data, kept ? Infinity : since(asked));
  });
};

export const signedOut = () => {
  latest = ++asks;
  try {
    (window._hsq = window._hsq || []).push(['resetVisitorIdentity']);
  } catch (e) {}
  run({ at: shown ? shown.at + 1 : 1 }, Infinity);
};
