// Where the page is: in a frame, in another character set, on paper, in a window that another page opened.

import assert from 'node:assert/strict';
import { ANN, ANN_ALONE, ANN_NAMED, inEveryEngine, NOBODY } from './site.mjs';

const TTL = 2_500;
const FOREIGN = { id: ANN.id, email: 'jos\u00e9.\u03b1\u4e2d\u{1f600}@shop.test' };
/** A letter of the page's own, in the page's own set: it tells that the page was read as it says. */
const SETS = { 'iso-8859-1': Buffer.from([0xe9]), 'shift_jis': Buffer.from([0x92, 0x86]), 'windows-1251': Buffer.from([0xe6]) };
const LETTERS = { 'iso-8859-1': '\u00e9', 'shift_jis': '\u4e2d', 'windows-1251': '\u0436' };

inEveryEngine({}, (check, engine) => {
  for (const [set, letter] of Object.entries(SETS)) {
    check(`a page in ${set} names an email of other letters as it is`, { user: FOREIGN }, async (scene) => {
      scene.site.pages['/a'] = {
        headers: { 'content-type': `text/html; charset=${set}` },
        encode: (html) => {
          const [before, after] = html.split('</h1>');
          return Buffer.concat([Buffer.from(before, 'latin1'), letter, Buffer.from(`</h1>${after}`, 'latin1')]);
        },
      };
      await scene.goto('/a');
      await scene.hears(`view: ${FOREIGN.id} ${FOREIGN.email}`);
      assert.equal(await scene.tab.evaluate("document.querySelector('h1').textContent"), `/a${LETTERS[set]}`);
    });
  }

  check('a frame with a tag of its own: each document ends at its own deadline', { ttl: TTL }, async (scene) => {
    scene.site.pages['/a'] = { body: '<iframe src="/b"></iframe>' };
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`, `view: ${ANN_NAMED}`);
    await scene.until(TTL, Date.now());
    await scene.tab.evaluate(() => {
      for (const each of [window, window.frames[0]]) each._hsq.push(['trackCustomBehavioralEvent', { name: 'x' }]);
    });
    await scene.hears(`behavioural: ${ANN_ALONE}`, `behavioural: ${ANN_ALONE}`);
    for (const [user, says] of [[ANN, ANN_NAMED], [null, NOBODY]]) {
      scene.site.user = user;
      await scene.tab.evaluate(() => {
        window.frames[0].location.href = '/c';
      });
      await scene.hears(`view: ${says}`);
      await scene.acts(ANN_ALONE);
    }
  });

  check('printing says nothing, and changes nothing', { head: '<style media="print">h1 { display: none }</style>' }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    // What a page notices of a print preview; the preview itself is not driven.
    await scene.tab.evaluate(() => {
      for (const name of ['beforeprint', 'afterprint']) window.dispatchEvent(new Event(name));
    });
    await scene.hears();
    await scene.acts(ANN_NAMED);
  });

  check('a window that the page opens is a page of its own', { ttl: TTL, body: '<button id="open" onclick="window.open(\'/b\')">open</button>', skip: engine === 'webkit' ? 'skipped because the driver\'s window of WebKit opens no others' : false }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.until(TTL, Date.now());
    scene.site.pages['/b'] = { body: '<script>addEventListener("load", () => setTimeout(close, 300))</script>' };
    await scene.tab.click('#open');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.acts(ANN_ALONE);
  });

  check('the document is written anew by the page\'s own script: it says no more than it may', { ttl: TTL }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate(() => {
      document.open();
      document.write('<!doctype html><title>anew</title><button id="mark">mark</button>');
      document.close();
    });
    await scene.until(TTL, Date.now());
    await scene.acts(ANN_ALONE);
  });
});
