// The guard on machines that sleep, and whose clock is set or wrong.

import { ANN_ALONE, ANN_NAMED, inEveryEngine, NOBODY } from './site.mjs';

const HOUR = 60 * 60;
const TTL = 2_500;

inEveryEngine({ wallClock: true }, (check) => {
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
});
