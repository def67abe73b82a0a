// What the shop's pages do by themselves where Turbo shows them. It runs once a document, so both listeners are the
// document's.

(function () {
  'use strict';

  var nonce = document.querySelector('meta[name="csp-nonce"]').content;
  var queue = (window._hsq = window._hsq || []);

  // The policy of this document lets only its own nonce run; see config/initializers/content_security_policy.rb.
  document.addEventListener('turbo:before-fetch-request', function (event) {
    event.detail.fetchOptions.headers['X-Turbo-Nonce'] = nonce;
  });

  // One button is an event that the shop tells HubSpot of, the other a click that HubSpot's code watches for.
  document.addEventListener('click', function (event) {
    if (event.target.id === 'like') queue.push(['trackCustomBehavioralEvent', { name: 'pe62515_liked', properties: { page: location.pathname } }]);
  });
  queue.push(['trackClick', '#ask', 'asked']);
})();
