// The page's guard: what the page may say to HubSpot, decided again each time HubSpot's script looks.
//
// `p` is the data of one rendered page: `at`, the server's clock when the page was rendered (ms), `ttl`, how long after
// that the page may name the email (ms), `src`, the address of HubSpot's loader, `id` and `email` if there are any, and
// `out` on the page after a sign-out. `late` is given by an app that fetched the data itself (page/vidcache.js): how
// many milliseconds ago it asked for the data, `Infinity` where it does not say.
//
// The server's decision was right when the page was rendered. The worker waits until such pages are older than `ttl`
// before it tells HubSpot of a change; in return, a page older than `ttl` must not name the email. HubSpot's script
// keeps the first identity that it is given for as long as the document lives, and sends it with every page view, event
// and click (recorded of two builds). So there is one identity in the document, `who`, whose keys are what may be said
// at this moment of the page that is shown now.
//
// No exception leaves this script: where something is not as it should be, the page says less.
((w, d, p, late) => {
  const start = () => {
    let page = {}, others = {}, slept = 0, leaving = 0, base, own, last, counted, claiming, copied, moved, left, origin;
    const perf = w.performance, { assign, keys, getOwnPropertyDescriptor } = Object, now = () => Date.now(),

    // Whether the tracker has come: it takes what is pushed by a function of its own.
    isThere = queue => queue.propertyIsEnumerable('push'),

    // Whose page it is. A user whose contact's id is another user's has an email alone.
    whose = page => page.id || page.email,

    // Milliseconds since the navigation began, which never become fewer: `performance.now()`, which stands still while
    // the machine sleeps, and what the wall clock has gone ahead of it. A wall clock that is set back changes nothing.
    elapsed = (awake = perf.now(), jump = now() - awake - origin) => {
      if (jump * jump > 1e4) {
        origin += jump;
        if (jump > 0) slept += jump;
      }
      return awake + slept;
    },

    // Whether the document came from the server as it is. What a browser has from its cache, from a service worker's,
    // or by asking whether its copy is still good, has brought fewer bytes than the body has. The sizes are known when
    // the document is complete; Chromium says at once what was cached, fetched ahead or rendered ahead.
    fresh = ({ deliveryType, transferSize, encodedBodySize }) =>
      !(deliveryType || encodedBodySize < 1 || transferSize <= encodedBodySize),

    // What may be said now. `spare`: how many milliseconds before the deadline the email is no longer listed, so that
    // no script that lists the keys finds a key without a value a moment later.
    said = spare => {
      const all = assign({}, others);
      if (whose(page)) try {
        delete all.id;
        delete all.email;
        // The age is asked at each look, so that no sleep goes by unseen.
        const age = base + elapsed() - page.at, skew = now() - page.at;
        // Nobody is named for longer than an hour, and five minutes for clocks that differ: a page that an app or a
        // proxy cached whole looks like any other.
        if (!copied && !leaving && skew < 39e5) {
          if (page.id) all.id = page.id;
          if (page.email && skew > -39e5 && age < page.ttl - spare &&
            (own || fresh(perf.getEntriesByType('navigation')[0]))) all.email = page.email;
        }
      } catch {}
      return all;
    },

    who = new Proxy({}, {
      // An identity that was just replaced gets nothing: its owner may identify with the same object again.
      ownKeys: () => {
        claim();
        return keys(moved ? {} : said(99));
      },
      getOwnPropertyDescriptor: (_, key) => getOwnPropertyDescriptor(said(99), key),
      get: (_, key) => said(0)[key],
      // Other code's identities are assigned to this one. They count where the page has no user of its own.
      set: (_, key, value) => {
        if (value) others[key] = value;
        return true;
      }
    }),

    // Sees to it that the tracker keeps `who` itself. Whoever identifies first is kept: a form, a chat, or HubSpot's
    // own `__hs_email` of the address, and `who` would be copied into that identity. The tracker lists the keys of
    // `who` when it does so, and with each request. A tracker that cannot be made to keep `who` has changed since it
    // was recorded: it is told nothing.
    claim = () => {
      try {
        moved = 0;
        if (!claiming && isThere(w._hsq)) {
          // Until the tracker has run this, nothing is said: other code may stand between.
          copied = 1;
          w._hsq.push(tracker => {
            const kept = (identity = tracker.identity) => identity?.get ? identity.get() : identity;
            try {
              claiming = 1;
              const former = kept();
              if (former !== who) {
                assign(who, former);
                tracker.identity = null;
                tracker.identify(who);
                moved = former;
              }
              copied = kept() !== who;
            } catch {}
            claiming = 0;
          });
        }
      } catch {}
    };

    // When the navigation began, by the wall clock, in every engine. `performance.timeOrigin` will not do: it moves
    // with the wall clock in WebKit, and Firefox computes it of clocks that it read when the process began.
    origin = perf.timing?.navigationStart || now() - perf.now();

    return (p, late) => {
      const time = elapsed(), visit = page.at, queue = w._hsq ||= [], ahead = p.at - time - base, place = w.location,
        // Whether it is another user's page; whether a view was counted before; whether the parser is still at work.
        isOther = whose(page) != whose(p), isLater = visit || isThere(queue), loading = d.readyState[0] == 'l';
      if (p.out || isOther) others = {};
      if (!(p.at <= visit)) {
        // The newest page of the document. The first one was rendered after the navigation began, so the server's clock
        // is at most `base + elapsed()`: no two clocks are compared. A clock may be slow, so each newer page lifts that
        // bound to the page's own time. A page from far ahead says that the first one was old when it came, out of a
        // shared cache, of which browsers do not tell: then nothing is believed until the next full load.
        own = late < Infinity;
        base = own ? p.at + late - time : visit ? ahead > 2e3 ? Infinity : ahead > 0 ? p.at - time : base : p.at;
        page = p;
      } else if (isOther) {
        // An older page, restored by Turbo, of somebody else than the newest one.
        page = { at: visit };
      }
      if (p.out && left != (left = p.at)) {
        // A tracker that is still to come sends its first page views before the reset, as the former user's browser:
        // until the reset has run nobody is named. The reset ends what the tracker keeps.
        leaving++;
        queue.push(['resetVisitorIdentity']);
        queue.push(tracker => {
          leaving--;
          tracker.identify(who);
        });
      }
      // Before all that waits for the tracker; a tracker that is there takes it at once.
      queue[isLater ? 'push' : 'unshift'](['identify', who]);
      // Turbo came here from a page without this script, and does not run the loader that follows it.
      if (!isLater && p.src && !loading) {
        const loader = d.createElement('script');
        loader.nonce = d.currentScript.nonce;
        loader.src = w.trustedTypes?.createPolicy('vidcache', { createScriptURL: url => url }).createScriptURL(p.src) || p.src;
        d.head.appendChild(loader);
      }
      // A Turbo visit is a page view, and so is one from a page without this script, where another embed's tracker is
      // there. The same tag twice in one page is not two: Turbo runs both in one task, the parser a moment apart.
      if (isLater && late == null && (loading ? visit && time - last > 2e3 : !counted)) {
        queue.push(['setPath', place.pathname + place.search]);
        queue.push(['trackPageView']);
      }
      last = time;
      // A timer's number is never 0.
      counted = w.setTimeout(() => counted = 0);
    };
  };
  try {
    // Turbo shows a cached page while it fetches the new one: not a page view, and old.
    if (!['', 'links'].some(s => d.documentElement.hasAttribute(`data-turbo${s}-preview`))) (w._vc ||= start())(p, late);
  } catch {}
})
