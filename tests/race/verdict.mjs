// Whether a race has shown what it is to show.

/**
 * @param {[import('./report.mjs').Outcome, import('./report.mjs').Outcome]} outcomes  usual, vidcache
 * @returns {string[]} why not; none if it has
 */
export function verdict([usual, vidcache]) {
  const failures = [];
  const { duplicates, unheld, mistaken } = vidcache.total;
  // A way of going wrong that does not go wrong by itself was not tried.
  if (usual.total.duplicates === 0) failures.push('the usual snippet made no duplicate: the race was not run');
  for (const { name, found } of usual.scenarios) {
    if (found.duplicates + found.unheld === 0) failures.push(`the usual snippet did no harm in ${name}: that was not raced`);
  }
  if (duplicates > 0) failures.push(`vidcache made ${duplicates} of them`);
  if (unheld > 0) failures.push(`with vidcache, ${unheld} requests named an email that HubSpot did not hold`);
  if (mistaken > 0) failures.push(`with vidcache, ${mistaken} requests spoke for somebody else`);
  if (usual.scenarios.length > 1 && usual.total.mistaken === 0) failures.push('the usual snippet spoke for nobody else: a second user was not raced');
  // Nobody new came in the race, so each contact too many is a duplicate, recognised as one or not.
  const surplus = vidcache.contactsAfter - vidcache.contactsBefore;
  if (duplicates === 0 && surplus !== 0) failures.push(`with vidcache there are ${surplus} contacts more than before`);
  for (const { name, tally } of vidcache.scenarios) {
    if (tally.confirmed < tally.checked) failures.push(`with vidcache, ${tally.checked - tally.confirmed} of ${tally.checked} pages of ${name} did not name the email that HubSpot had confirmed`);
  }
  return failures;
}
