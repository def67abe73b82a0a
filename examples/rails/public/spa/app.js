// The shop as a single-page app: views change without a page load, and the app itself tells HubSpot of each.

const REFRESH_MS = 5_000;
const queue = (window._hsq = window._hsq || []);
const byId = (id) => document.getElementById(id);
const { identify } = await import(`/spa/identify_${document.documentElement.dataset.snippet}.js`);

// Asks the server who the visitor is. Whatever comes back, `identify` has the promise from the start: how old the
// answer is counts from the question.
async function refresh() {
  const answer = fetch('/me.json').then((response) => response.json());
  await identify(answer.then((me) => me.hubspot)).catch(() => {}); // no connection: what was told last grows old by itself
  const me = await answer.catch(() => null);
  if (!me) return;
  byId('told').textContent = JSON.stringify(me.hubspot);
  if (document.activeElement !== byId('email')) byId('email').value = me.email ?? '';
}

// Whoever is shown is settled before the view is counted. HubSpot's code counts the first view by itself.
async function open(path, isFirst) {
  await refresh();
  byId('title').textContent = path === '/app' ? 'Welcome' : `View ${path.split('/').at(-1)}`;
  if (isFirst) return;
  queue.push(['setPath', path]);
  queue.push(['trackPageView']);
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[href^="/app/"]');
  if (!link) return;
  event.preventDefault();
  history.pushState(null, '', link.getAttribute('href'));
  open(location.pathname);
});
window.addEventListener('popstate', () => open(location.pathname));

byId('like').addEventListener('click', () => queue.push(['trackCustomBehavioralEvent', { name: 'pe62515_liked', properties: { page: location.pathname } }]));
queue.push(['trackClick', '#ask', 'asked']);

byId('settings').addEventListener('submit', async (event) => {
  event.preventDefault();
  const answer = await fetch('/settings.json', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-csrf-token': document.querySelector('meta[name="csrf-token"]').content },
    body: JSON.stringify({ email: byId('email').value }),
  });
  byId('refusal').hidden = answer.ok;
  if (!answer.ok) byId('refusal').textContent = (await answer.json()).errors.join('. ');
  byId('email').blur();
  history.pushState(null, '', '/app/settings');
  open(location.pathname);
});

// What a page may say lasts for some seconds. A tab that nobody looks at need not say anything.
setInterval(() => document.hidden || refresh(), REFRESH_MS);
queue.push(['setPath', location.pathname]);
await open(location.pathname, true);
document.documentElement.dataset.ready = 'true';
