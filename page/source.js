// The file that a page of an app's own loads: the guard (src/snippet.js), and how it is told who is shown.
// `build.mjs` puts the guard in place of GUARD and makes an ES module and a classic script of this.
const guard = GUARD;
let asks = 0, latest = 0;

// Milliseconds since a moment of this document. Of two clocks the one that is ahead counts, as in the guard.
const since = moment => Math.max(performance.now() - moment.now, Date.now() - moment.wall);

// What was asked for before a sign-out, or before what is shown already, comes too late.
const run = (turn, data, late) => {
  if (turn < latest) return;
  latest = turn;
  guard(window, document, Object.assign({}, data), late);
};

export const show = data => {
  const turn = ++asks, asked = { now: performance.now(), wall: Date.now() };
  if (!data || typeof data.then != 'function') return run(turn, data, Infinity);
  // A promise that was kept is there before the next task: then nobody knows when its data was asked for. The task is
  // a timer's or a message's, whichever comes first: timers wait for up to a minute in a hidden tab, and in WebKit a
  // message was seen to come later than an answer.
  let kept = true;
  const { port1, port2 } = new MessageChannel(), later = () => {
    kept = false;
    port1.close();
  };
  setTimeout(later, 0);
  port1.onmessage = later;
  port2.postMessage(0);
  return data.then(data => run(turn, data, kept ? Infinity : since(asked)));
};

// Data without a time: whoever comes next is the newest. The guard resets the visitor.
export const signedOut = () => run(++asks, { at: NaN, out: true }, Infinity);
