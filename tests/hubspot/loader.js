// The tracking code of the HubSpot double, as a page gets it from js.hs-scripts.com/PORTAL.js.
//
// It treats `_hsq` as HubSpot documents it (HUBSPOT.md §1.2 and §9). HubSpot's own loader injects further scripts and the
// analytics one among them does this work; here it is one script, and the server's `loader_delay_ms` stands for the time
// those take. The beacon's address is HubSpot's; of its parameters `a` (portal), `vi` (usertoken), `pu` (page url),
// `t` (title) and `cts` (client time) are HubSpot's names, `path`, `email` and `id` are this double's own.
(function () {
  'use strict';

  // One instance per page, even when the script runs twice (Turbo, two snippets).
  if (window._hspDoubleLoaded) return;
  window._hspDoubleLoaded = true;

  var PORTAL = '__PORTAL__';
  var BEACON = 'https://track.hubspot.com/__ptq.gif';
  var SIX_MONTHS_IN_SECONDS = 180 * 24 * 60 * 60;

  var identity = null; // stored by identify until the next page view
  var path = null; // set by setPath, for every page view from then on

  function cookie(name) {
    var match = document.cookie.match('(?:^|; )' + name + '=([^;]*)');
    return match ? match[1] : null;
  }

  function setCookie(name, value) {
    document.cookie = name + '=' + value + '; path=/; max-age=' + SIX_MONTHS_IN_SECONDS + '; SameSite=Lax';
  }

  function usertoken() {
    var token = cookie('hubspotutk');
    if (!token) {
      token = '';
      var bytes = crypto.getRandomValues(new Uint8Array(16));
      for (var i = 0; i < bytes.length; i++) token += (bytes[i] + 256).toString(16).slice(1);
    }
    setCookie('hubspotutk', token);
    return token;
  }

  var commands = {
    identify: function (properties) {
      // Read now, at the time the command is processed: not when it was pushed, and not when it is sent.
      var email = properties && properties.email;
      var id = properties && properties.id;
      identity = { email: email, id: id };
    },
    setPath: function (newPath) {
      path = newPath;
    },
    trackPageView: function () {
      if (cookie('__hs_do_not_track')) return;
      var parameters = { a: PORTAL, vi: usertoken(), pu: location.href, t: document.title, cts: Date.now() };
      if (path !== null) parameters.path = path;
      if (identity && identity.email) parameters.email = identity.email;
      if (identity && identity.id) parameters.id = identity.id;
      identity = null;
      var query = [];
      for (var name in parameters) query.push(name + '=' + encodeURIComponent(parameters[name]));
      new Image().src = BEACON + '?' + query.join('&');
    },
    doNotTrack: function () {
      setCookie('__hs_do_not_track', 'yes');
    },
    addPrivacyConsentListener: function (listener) {
      // No consent banner is configured here, so consent is given and known at once.
      if (typeof listener === 'function') listener({ allowed: true });
    },
  };

  // A command is an array [name, argument]. Unknown ones, and functions, which `_hsq` does not document, do nothing.
  function process(command) {
    if (!Array.isArray(command) || !Object.prototype.hasOwnProperty.call(commands, command[0])) return;
    commands[command[0]](command[1]);
  }

  var queue = (window._hsq = window._hsq || []);
  queue.push = function () {
    for (var i = 0; i < arguments.length; i++) process(arguments[i]);
    return queue.length;
  };
  // What was pushed before the script loaded is sent with the initial page view (HUBSPOT.md §2).
  for (var i = 0; i < queue.length; i++) process(queue[i]);
  commands.trackPageView();
})();
