// The tracking code of the HubSpot double, as a page gets it from js.hs-scripts.com/PORTAL.js.
//
// HubSpot's loader injects further scripts, of which the analytics one does this work; here it is one script, and the
// server's `loader_delay_ms` stands for the time that those take. It does what two saved copies of the analytics script
// do (HUBSPOT.md §9), in its own words. Marks: [O] documented, [R] read in the copies, "stricter" where the copies or
// the documentation leave it open and this double takes the reading that says more about the visitor. It is sloppy-mode
// code as HubSpot's is [R]: an assignment to a property that has only a getter is lost without an error. Left out,
// since no identity depends on it: the session cookies, cross-domain links, `__hsUserToken`, the fingerprint, and the
// `url` option of trackClick.
(function () {
  var PORTAL = '__PORTAL__';
  var BEACON = '__BEACON__'; // 'https:', or '' for engines in which https hosts cannot be led to the double
  var OLDER = '__ORDER__' === 'older';
  var DAYS = 390; // how long HubSpot's copies keep the visitor's cookies [R]

  // One instance a document, even when the script comes twice (Turbo, a tag manager's second embed) [R].
  if (window._hspDoubleLoaded) return;
  window._hspDoubleLoaded = true;

  function isArray(value) {
    return Object.prototype.toString.call(value) === '[object Array]';
  }

  function isFunction(value) {
    return Object.prototype.toString.call(value) === '[object Function]';
  }

  // Each enumerable key, inherited ones too; a list repeats its key, a function is called, undefined is the text
  // "undefined". A property is read more than once, so a getter is asked more than once [R].
  function encode(values) {
    var pairs = [];
    function add(name, value) {
      pairs.push(encodeURIComponent(name) + '=' + encodeURIComponent(value));
    }
    for (var name in values) {
      if (isArray(values[name])) {
        for (var n = 0; n < values[name].length; n++) add(name, values[name][n]);
      } else {
        add(name, isFunction(values[name]) ? values[name]() : values[name]);
      }
    }
    return pairs.join('&').replace(/%20/g, '+');
  }

  function decode(text) {
    try {
      return decodeURIComponent(text);
    } catch (error) {
      return unescape(text);
    }
  }

  function load(host, file, parameters) {
    new Image(1, 1).src = BEACON + '//' + (host || 'track.hubspot.com') + file + '?' + encode(parameters);
  }

  // What a command throws does not reach the page: it is sent to HubSpot as an error, text and stack [R].
  function tell(error) {
    load(tracker.trackingDomain, '/__pto.gif', { w: Date.now(), m: String(error), n: error.name, x: error.stack || '' });
  }

  // Cookies.

  function readCookie(name) {
    var match = document.cookie.match('(?:^|; *)' + name + '=([^;]*)');
    return match ? match[1] : '';
  }

  function writeCookie(name, value, days) {
    var until = new Date(days > 0 ? Date.now() + days * 864e5 : 1000);
    document.cookie = name + '=' + value + ';expires=' + until.toUTCString() + ';path=/;SameSite=Lax';
  }

  function newToken() {
    var token = '';
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    for (var n = 0; n < bytes.length; n++) token += (bytes[n] + 256).toString(16).slice(1);
    return token;
  }

  // Consent, on `_hsp` as HubSpot's banner script has it. No banner is configured here, so consent is given at once
  // [O]; `revokeCookieConsent` withdraws it, and every listener hears of both, with what was allowed before [R].
  var consent = { allowed: true, categories: { necessary: true, analytics: true, advertisement: true, functionality: true } };
  var consentListeners = [];
  function privacy(call) {
    if (call[0] === 'addPrivacyConsentListener' && typeof call[1] === 'function') {
      consentListeners.push(call[1]);
      call[1](consent);
    }
    if (call[0] === 'revokeCookieConsent') {
      var none = { necessary: true, analytics: false, advertisement: false, functionality: false };
      consent = { allowed: false, categories: none, previousCategories: consent.categories };
      for (var n = 0; n < consentListeners.length; n++) consentListeners[n](consent);
    }
  }
  function startPrivacy() {
    var waiting = isArray(window._hsp) ? window._hsp : [];
    window._hsp = { push: privacy };
    for (var n = 0; n < waiting.length; n++) privacy(waiting[n]);
  }

  // What identify keeps: the very object that it was given first; later ones are assigned into it, key by key. A later
  // identify without an object leaves nothing of it [R].
  function Kept(given) {
    this.raw = given;
  }
  Kept.prototype.get = function () {
    return this.raw;
  };
  Kept.prototype.merge = function (given) {
    var kept = this.raw || {};
    if (given) for (var name in given) kept[name] = given[name];
    this.raw = given ? kept : given;
  };

  var token = null; // the usertoken, kept for the life of the document, whatever becomes of the cookie [R]
  var hasReset = false;
  var consentNow = null;
  var isPrepared = false;
  var clicks = [];

  // Once a document, before the first call that needs the visitor: `?__hs_email=` in the address (in its hash, if it
  // has no search) identifies first, before what the page says; not after a reset [R].
  function prepare() {
    if (isPrepared) return;
    isPrepared = true;
    var found = /[?&#]__hs_email=([^&#]*)/.exec(location.search || location.hash || '');
    if (found) keep({ email: decode(found[1].replace(/\+/g, ' ')) });
    token = token || readCookie('__hstc').split('.')[1] || readCookie('hubspotutk') || newToken();
    saveToken();
  }

  // Cookies are written only with consent [O].
  function saveToken() {
    if (!consent.allowed) return;
    var now = Date.now();
    writeCookie('__hstc', ['1', token, now, now, now, 1].join('.'), DAYS);
    writeCookie('hubspotutk', token, DAYS);
  }

  function keep(given) {
    if (tracker.identity) tracker.identity.merge(given);
    else tracker.identity = new Kept(given);
  }

  // Every request of the document carries the whole identity as it is at that moment, in `i` [R].
  function send(file, own) {
    if (readCookie('__hs_do_not_track') === 'yes' || !tracker.trackingEnabled) return;
    var all = {};
    for (var name in own) if (own[name] !== undefined) all[name] = own[name];
    if (tracker.portalId !== undefined) all.a = tracker.portalId;
    if (tracker.path) all.po = tracker.path;
    all.pu = location.href;
    if (document.title) all.t = document.title;
    all.cts = Date.now();
    if (tracker.identity) all.i = encode(tracker.identity.get());
    if (hasReset) all.rv = 1;
    if (token) all.vi = token;
    var cookie = readCookie('__hstc');
    if (cookie) all.u = cookie;
    if (!consentNow || !consentNow.allowed) all.ce = false;
    load(tracker.trackingDomain, file, all);
  }

  // trackClick listens to mousedown on what the selector finds now; a new path looks again. The mark on the element is
  // what says that it has the listener [R].
  function listen(click) {
    var mark = 'data-hs-event-' + encodeURIComponent(click.id).replace(/[^\w-]/g, '_');
    var found = document.querySelectorAll(click.selector);
    for (var n = 0; n < found.length; n++) {
      if (found[n].getAttribute(mark) === '1') continue;
      found[n].setAttribute(mark, '1');
      found[n].addEventListener('mousedown', click.run);
    }
  }

  function trackForm(kind) {
    return function (form) {
      send('/__ptq.gif', { k: kind, fi: form });
    };
  }

  function set(name) {
    return function (value) {
      tracker[name] = value;
    };
  }

  var tracker = {
    identity: null,
    path: null,
    portalId: undefined,
    trackingDomain: null,
    trackingEnabled: true,

    setPortalId: function (id) {
      tracker.portalId = id;
      prepare();
    },
    // For every request from then on [O]; an empty one is the root [R].
    setPath: function (path) {
      tracker.path = path === '' ? '/' : path;
      for (var n = 0; n < clicks.length; n++) listen(clicks[n]);
    },
    setCanonicalUrl: set('canonicalUrl'),
    setContentType: set('contentType'),
    setContentMetadata: set('contentMetadata'),
    setTargetedContentMetadata: set('targetedContentMetadata'),
    setPageId: set('pageId'),
    setDebugMode: set('debugMode'),
    setLimitTrackingToCookieDomains: set('limitTrackingToCookieDomains'),
    setTrackingEnabled: function (enabled) {
      tracker.trackingEnabled = !!enabled;
    },
    setTrackingDomain: set('trackingDomain'),
    setCookiesToSubdomain: set('cookiesToSubdomain'),
    addCookieDomain: function () {},
    enableSecureCookie: function () {},

    // Nothing is sent by it [O]; what it keeps ends only with a reset or a withdrawn consent [R].
    identify: function (properties) {
      prepare();
      keep(properties);
    },
    // A new usertoken, which the cookie keeps; what the document sends from then on says that there was a reset [R].
    resetVisitorIdentity: function () {
      hasReset = true;
      token = newToken();
      tracker.identity = null;
      isPrepared = true;
      saveToken();
    },

    trackPageView: function () {
      prepare();
      send('/__ptq.gif', { k: 1 });
    },
    // An event's own keys go out as parameters of their own, and its object is written into [R].
    trackEvent: function (event, more) {
      prepare();
      if (typeof event === 'string' || typeof event === 'number') {
        event = { id: event };
        for (var name in more) event[name] = more[name];
      }
      if (isFunction(event.value)) event.value = event.value();
      event.k = 3;
      event.n = event.id || '';
      event.m = event.value || '';
      send('/__ptq.gif', event);
    },
    trackCustomBehavioralEvent: function (event) {
      if (!event) return;
      prepare();
      var own = { n: event.name };
      for (var name in event.properties) own['_' + name] = event.properties[name] || '';
      send('/__ptbe.gif', own);
    },
    trackClick: function (selector, id, options) {
      var click = {
        selector: selector,
        id: id,
        run: function () {
          try {
            if (String(id).indexOf('pe' + tracker.portalId + '_') === 0) tracker.trackCustomBehavioralEvent({ name: id });
            else tracker.trackEvent(id, options);
          } catch (error) {
            tell(error);
          }
        },
      };
      clicks.push(click);
      listen(click);
    },
    trackFormView: trackForm(15),
    trackFormInstall: trackForm(16),
    trackFormVisible: trackForm(17),
    trackFormInteraction: trackForm(18),
    trackFormCompletion: trackForm(19),

    // A cookie silences all requests, on the next pages too, until it is removed [O]; `{track: true}` removes it [R].
    doNotTrack: function (options) {
      if (options && options.track) writeCookie('__hs_do_not_track', '', 0);
      else writeCookie('__hs_do_not_track', 'yes', DAYS);
    },
    addPrivacyConsentListener: function (listener) {
      window._hsp.push(['addPrivacyConsentListener', listener]);
    },
    revokeCookieConsent: function () {
      window._hsp.push(['revokeCookieConsent']);
    },
  };
  tracker.trackConversion = tracker.trackEvent;
  var namespace = { tracking: {} }; // the second argument of a function on the queue: HubSpot's own names, opaque here

  // A command is a function, called with the tracker, or a list [name, ...arguments] of one of the tracker's methods.
  // Anything else does nothing. `push` takes one command, whatever it is given [R].
  function run(command) {
    try {
      if (typeof command === 'function') command(tracker, namespace);
      else if (command && isArray(command) && tracker[command[0]]) return tracker[command[0]].apply(tracker, command.slice(1));
    } catch (error) {
      tell(error);
    }
    return undefined;
  }

  // Runs those of the waiting commands that have one of these names, in their order, and takes them out.
  function runNamed(queue, names) {
    for (var n = 0; n < queue.length; n++) {
      if (!queue[n] || !isArray(queue[n]) || names.indexOf(queue[n][0]) < 0) continue;
      run(queue[n]);
      queue.splice(n--, 1);
    }
  }

  var COOKIES = ['setTrackingDomain', 'setCookiesToSubdomain', 'addCookieDomain', 'enableSecureCookie'];
  var FIRST = [
    'setPortalId', 'setCanonicalUrl', 'setPath', 'setContentType', 'setContentMetadata', 'setPageId', 'setTargetedContentMetadata',
    'identify', 'setDebugMode', 'setLimitTrackingToCookieDomains', 'setTrackingEnabled',
  ];

  // HubSpot's script puts the portal and the first page view on the queue when it comes, and looks at the queue when
  // the document is complete [R].
  var isQueued = false;
  function enqueue() {
    var queue = (window._hsq = window._hsq || []);
    if (isQueued || !isArray(queue)) return;
    isQueued = true;
    queue.push(['setPortalId', PORTAL]);
    queue.push(['trackPageView']);
  }

  // The queue is emptied in passes: cookies; set-up and identity; in the newer copy the page views; then the rest, in
  // order. So what is neither set-up nor identify (doNotTrack, a reset, a function) runs after the first page view in
  // the newer copy, and in the older one before it if it was queued before HubSpot's script came. The documentation
  // names no order for doNotTrack; stricter: the newer copy's [R].
  function start() {
    // A queue that is no list is replaced, and what was pushed to it is lost [R]; stricter: the first page view is not.
    if (!isArray((window._hsq = window._hsq || []))) window._hsq = [];
    enqueue();
    var queue = window._hsq;
    queue.push = run;
    runNamed(queue, COOKIES);
    startPrivacy();
    privacy(['addPrivacyConsentListener', function (now) {
      var before = now.previousCategories && now.previousCategories.analytics;
      consentNow = now;
      if (now.allowed || !before) return;
      // Withdrawn: the cookies go, and the visitor is a new one [O]; the document's identity ends with that [R].
      for (var n = 0; n < 2; n++) writeCookie(['__hstc', 'hubspotutk'][n], '', 0);
      tracker.resetVisitorIdentity();
    }]);
    runNamed(queue, FIRST);
    if (!OLDER) runNamed(queue, ['trackPageView']);
    while (queue.length) run(queue.shift());
  }

  enqueue();
  // At the document's `load`, or at once where that was [R].
  if (!document.readyState || document.readyState === 'complete') start();
  else window.addEventListener('load', start, true);
})();
