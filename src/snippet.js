// The page's guard: what the page may say to HubSpot, decided again each time HubSpot's script looks.
//
// `p` is the data of one rendered page: `at`, the server's clock when the page was rendered (ms), `ttl`, how long after
// that the page may name the email (ms), `src`, the address of HubSpot's loader, `id` and `email` if there are any, and
// `out` on the page after a sign-out. `late` is given by an app that fetched the data itself (page/vidcache.js): how many
// milliseconds ago it asked for the data, `Infinity` where it does not say.
//
// The server's decision was right when the page was rendered. The worker waits until such pages are older than `ttl`
// before it tells HubSpot of a change; in return, a page older than `ttl` must not name the email. HubSpot's script keeps
// the first identity that it is given for as long as the document lives, and sends it with every page view, event and
// click (recorded of two builds). So there is one identity in the document, `who`, whose keys are what may be said at this
// moment of the page that is shown now.
//
// No exception leaves this script: where something is not as it should be, the page says less.
((w, d, p, late) => {
  const start = () => {
    let page = {}, others = {}, last = 0, base;
    const perf = w.performance, now = () => Date.now(),

    // When the navigation began, by the wall clock. `performance.timeOrigin` will not do: it moves with the wall clock in
    // WebKit, and is computed once per process in Firefox.
    origin = Math.min(now() - perf.now(), (perf.timing || {}).navigationStart || Infinity),

    // Milliseconds since the navigation began. Of two clocks the one that is ahead counts: `performance.now()` stands
    // still while the machine sleeps, and the wall clock may be set back.
    elapsed = () => Math.max(perf.now(), now() - origin),

    // Whether the document came from the server, not from a cache, a prefetch or history: the browser tells when the
    // document is complete. Where a service worker had a hand in it the browser does not tell: there the wall clocks of
    // page and server must agree, and the age by the wall clock counts.
    fresh = skew => {
      const nav = perf.getEntriesByType('navigation')[0];
      return !nav.deliveryType && (!nav.workerStart || skew > -2e3 && skew < page.ttl) &&
        !(nav.transferSize <= nav.encodedBodySize);
    },

    // What may be said now. `spare`: how many milliseconds before the deadline the email is no longer listed, so that no
    // script that lists the keys finds a key without a value a moment later.
    said = spare => {
      const all = Object.assign({}, others), skew = now() - page.at;
      if (page.id) try {
        delete all.id;
        delete all.email;
        // A page that an app or a proxy cached whole is seen by the wall clocks alone, which may be an hour off.
        if (skew < 39e5 && elapsed() - page.shown < 36e5) {
          all.id = page.id;
          if (page.email && skew > -39e5 && (page.own || fresh(skew)) &&
            base + elapsed() - page.at < page.ttl - spare) all.email = page.email;
        }
      } catch (e) {}
      return all;
    },

    who = new Proxy({}, {
      ownKeys: () => Object.keys(said(99)),
      getOwnPropertyDescriptor: (_, key) => Object.getOwnPropertyDescriptor(said(99), key),
      get: (_, key) => said(0)[key],
      // Other code's identities are assigned to this one. They count where the page has no user of its own.
      set: (_, key, value) => {
        if (value) others[key] = value;
        return true;
      }
    }),

    // Makes `who` the identity that the tracker keeps. Other code may have identified first: a form, a chat, the address's
    // `__hs_email`. A tracker that works in another way than the recorded one is told once more, without the email.
    claim = tracker => {
      const kept = () => {
        const identity = tracker.identity;
        return identity && identity.get ? identity.get() : identity;
      };
      try {
        const former = kept();
        if (former !== who) {
          Object.assign(who, former);
          tracker.identity = null;
          tracker.identify(who);
          if (kept() !== who) tracker.identify({ id: who.id || '', email: '' });
        }
      } catch (e) {}
    };

    return (p, late) => {
      const time = elapsed(), visit = page.at, queue = w._hsq = w._hsq || [], ahead = p.at - time - base;
      if (!(p.at <= visit)) {
        // The newest page of the document. The first one was rendered after the navigation began, so the server's clock
        // is at most `base + elapsed()`: no two clocks are compared. Clocks drift, so each newer page moves that bound: up
        // to the page's own time, down by 200 ppm. A page from far ahead says that the first one was old when it came, out
        // of a shared cache, of which browsers do not tell: then nothing is believed until the next full load.
        base = visit ? ahead > 2e3 ? Infinity : Math.max(ahead, -Math.min(1e3, (time - last) / 5e3)) + base : p.at;
        p.own = late < Infinity;
        if (p.own) base = Math.min(base, p.at + late - time);
        if (page.id && page.id != p.id) others = {};
        page = p;
        p.shown = time;
      } else if (page.id != p.id) {
        // An older page, restored by Turbo, of somebody else than the newest one.
        page = { at: visit };
        others = {};
      }
      if (!visit) {
        if (queue.unshift) queue.unshift(['identify', who]);
        // Turbo came here from a page without this script, and does not run the loader that follows it.
        if (p.src && d.readyState != 'loading') {
          const loader = d.createElement('script'), types = w.trustedTypes;
          loader.nonce = d.currentScript.nonce;
          loader.src = types ? types.createPolicy('vidcache', { createScriptURL: url => url }).createScriptURL(p.src) : p.src;
          d.head.appendChild(loader);
        }
      }
      if (p.out && page == p) queue.push(['resetVisitorIdentity']);
      queue.push(claim);
      // A Turbo visit is a page view. The same tag twice in one page is not two.
      if (visit && late === undefined && time - last > 50 && d.readyState != 'loading') {
        queue.push(['setPath', w.location.pathname + w.location.search]);
        queue.push(['trackPageView']);
      }
      last = time;
    };
  };
  try {
    const shows = name => d.documentElement.hasAttribute(`data-turbo${name}-preview`);
    // Turbo shows a cached page while it fetches the new one: not a page view, and old.
    if (!shows('') && !shows('links')) (w.__vidcache = w.__vidcache || start())(p, late);
  } catch (e) {}
})
