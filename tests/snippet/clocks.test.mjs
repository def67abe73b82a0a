// The guard on machines that sleep, and whose clock is set or wrong.

import { eventually } from '../browsers/eventually.mjs';
import { ANN_ALONE, ANN_NAMED, inEveryEngine, NOBODY, pause } from './site.mjs';

const HOUR = 60 * 60;
const TTL = 2_500;

/** The machine sleeps while a page is under way: a part of it has come, or nothing. */
async function sleepDuring(scene, path, { partly, seconds }) {
  let release;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  scene.site.pages[path] = async (_, response) => {
    const [before, after] = scene.site.render(path).split('</h1>');
    if (partly) response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' }).write(`${before}</h1>${' '.repeat(5_000)}`);
    await released;
    response.end(partly ? after : `${before}</h1>${after}`);
  };
  const going = scene.goto(path);
  await eventually(() => scene.site.times(path) > 0);
  await pause(500);
  await scene.browser.sleep(seconds);
  release();
  await going;
}

inEveryEngine({ wallClock: true }, (check, engine) => {
  check('after a night of the machine an open tab names nobody, and each new page the user', {}, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.browser.sleep(8 * HOUR);
    // The server did not sleep.
    scene.site.ahead = scene.browser.now() - Date.now();
    await scene.acts(NOBODY);
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.click('#c');
    await scene.hears(`view: ${ANN_NAMED}`);
    const second = await scene.newTab();
    await scene.goto('/a', second);
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('after a nap of half a minute an open tab gives the id alone', {}, async (scene) => {
    scene.site.ahead = scene.browser.now() - Date.now();
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.browser.sleep(30);
    scene.site.ahead = scene.browser.now() - Date.now();
    await scene.acts(ANN_ALONE);
    await scene.tab.reload();
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  // WebKit begins with a page when the rest of it has come, and dates the navigation then.
  const isPartSeen = engine !== 'webkit';
  check(`the machine sleeps when a part of a page has come: ${isPartSeen ? 'the id alone' : 'cannot be seen'}; the next page is named`, {}, async (scene) => {
    scene.site.ahead = scene.browser.now() - Date.now();
    await sleepDuring(scene, '/a', { partly: true, seconds: 30 });
    await scene.hears(`view: ${isPartSeen ? ANN_ALONE : ANN_NAMED}`);
    scene.site.ahead = scene.browser.now() - Date.now();
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  const isSeen = engine === 'firefox';
  check(`the machine sleeps before a byte of the page has come: ${isSeen ? 'the id alone' : 'cannot be seen'}`, {}, async (scene) => {
    scene.site.ahead = scene.browser.now() - Date.now();
    await sleepDuring(scene, '/a', { partly: false, seconds: 30 });
    await scene.hears(`view: ${isSeen ? ANN_ALONE : ANN_NAMED}`);
  });

  check('the wall clock is a day ahead for a while: nobody meanwhile, the id afterwards, and the next page is named', { ttl: TTL }, async (scene) => {
    scene.site.ahead = scene.browser.now() - Date.now();
    await scene.goto('/a');
    const came = Date.now();
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.browser.shiftWall(24 * HOUR);
    await scene.acts(NOBODY);
    await scene.browser.shiftWall(-24 * HOUR);
    await scene.until(TTL, came);
    await scene.acts(ANN_ALONE);
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  for (const [how, seconds] of [['back by an hour', -HOUR], ['forward by half a minute', 30]]) {
    check(`the wall clock is set ${how}: the deadline of an open tab is not prolonged, and the next page is named`, { ttl: TTL }, async (scene) => {
      scene.site.ahead = scene.browser.now() - Date.now();
      await scene.goto('/a');
      const came = Date.now();
      await scene.hears(`view: ${ANN_NAMED}`);
      await scene.browser.shiftWall(seconds);
      await scene.until(TTL, came);
      await scene.acts(ANN_ALONE);
      await scene.goto('/b');
      await scene.hears(`view: ${ANN_NAMED}`);
      await scene.browser.shiftWall(-seconds);
    });
  }

  for (const hours of [-1, 1]) {
    check(`a wall clock that is an hour ${hours < 0 ? 'slow' : 'fast'} changes nothing`, { ttl: TTL }, async (scene) => {
      scene.site.ahead = scene.browser.now() - Date.now() - hours * HOUR * 1_000;
      await scene.goto('/a');
      const came = Date.now();
      await scene.hears(`view: ${ANN_NAMED}`);
      await scene.until(TTL, came);
      await scene.acts(ANN_ALONE);
      const second = await scene.newTab();
      await scene.goto('/b', second);
      await scene.hears(`view: ${ANN_NAMED}`);
    });
  }

  check('a wall clock that is two hours off: the email is not named', {}, async (scene) => {
    scene.site.ahead = scene.browser.now() - Date.now() + 2 * HOUR * 1_000;
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_ALONE}`);
    scene.site.ahead = scene.browser.now() - Date.now() - 2 * HOUR * 1_000;
    await scene.goto('/b');
    await scene.hears(`view: ${NOBODY}`);
  });

  check('a browser that is in the year 1970: the id alone, and the email once its clock is right', {}, async (scene) => {
    const back = Math.floor(scene.browser.now() / 1_000) - 1_000;
    scene.site.ahead = scene.browser.now() - Date.now();
    await scene.browser.shiftWall(-back);
    try {
      await scene.goto('/a');
      await scene.hears(`view: ${ANN_ALONE}`);
    } finally {
      await scene.browser.shiftWall(back);
    }
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
  });
});
