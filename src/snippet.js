// What runs on the page. `p` is the page's data: `at`, when the server rendered it (ms), `ttl`, how long
// after that it may name the email (ms), `src`, the loader, and `id` and `email` if there are any.
//
// The decision was right when the page was rendered. The worker waits until such pages are older than `ttl`
// before it tells HubSpot of a change; in return, a page older than `ttl` must not name the email.
(function (w, d, p) {
  // Turbo shows a cached page while it fetches the new one: not a page view, and old.
  if (d.documentElement.hasAttribute('data-turbo-preview') ||
      d.documentElement.hasAttribute('data-turbolinks-preview')) return;
  var perf = w.performance, q = w._hsq = w._hsq || [], tab = w.__vidcache, visit = !!tab;
  // Milliseconds since this document's navigation began. The wall clock too, since some browsers stop
  // `now()` while the machine sleeps.
  function elapsed() {
    return Math.max(perf.now(), Date.now() - perf.timeOrigin);
  }
  if (!visit) {
    // The page was rendered after the navigation began, so the server's clock is at most `at + elapsed()`, now
    // and on every later Turbo visit: no two clocks are compared. That fails if the document itself
    // came from a cache (HTTP's, a service worker's, the prefetch buffer), so then nothing is believed until the next full
    // load. Not every browser says so: where a service worker had a hand in it the wall clocks must agree, elsewhere
    // they may be five minutes apart.
    var nav = perf.getEntriesByType('navigation')[0] || {};
    var cached = nav.type === 'back_forward' || nav.deliveryType ||
      Math.abs(Date.now() - p.at) > p.ttl + (nav.workerStart ? 0 : 3e5);
    tab = w.__vidcache = { base: cached ? Infinity : p.at, seen: {} };
    // Turbo came here from a page without this script, and does not run the loader that follows it.
    if (d.readyState !== 'loading') {
      var loader = d.createElement('script');
      loader.src = p.src;
      loader.nonce = d.currentScript.nonce;
      d.head.appendChild(loader);
    }
  }
  function age() {
    return tab.base + elapsed() - p.at;
  }
  // From the future: then `base` is no bound. A shared cache, which browsers do not tell of, had the first page.
  if (age() < 0) tab.base = Infinity;
  // A page that Turbo restores from its cache is not identified a second time.
  if (p.id && !tab.seen[p.at]) {
    var who = { id: p.id };
    if (p.email && age() < p.ttl) {
      // The loader may read this seconds from now. It finds the email only while it may be named.
      Object.defineProperty(who, 'email', {
        enumerable: true,
        configurable: true,
        get: function () { return age() < p.ttl ? p.email : undefined; }
      });
      w.setTimeout(function () { delete who.email; }, p.ttl - age());
    }
    q.push(['identify', who]);
  }
  tab.seen[p.at] = 1;
  // HubSpot keeps an identity until the next page view, so on a Turbo visit that follows at once.
  if (visit) {
    q.push(['setPath', w.location.pathname + w.location.search]);
    q.push(['trackPageView']);
  }
})
