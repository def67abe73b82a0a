// The operators' page in Chromium and Firefox, over an app with 10,000 users in all states (ruby/test/web/shop.rb):
// every screen and every button, by mouse and by keyboard, light and dark, wide and 360 pixels, and WCAG 2.2 AA as far
// as a program can tell. With SCREENSHOTS=FOLDER each screen is left there as a picture.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, missing } from '../browsers/index.mjs';
import { find, newFolder, Program, remove } from '../browsers/processes.mjs';
import { HubSpotDouble } from '../hubspot/server.mjs';

const ENGINES = ['chromium', 'firefox'];
const PORTAL = 62515;
const WIDE = 1280;
const NARROW = 360;
const BOOT_MS = 60_000;
const PICTURES = process.env.SCREENSHOTS;

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** @type {{url: string, merges: number[][], long: string}} */
let app;
let server;
let double;
let folder;

before(async () => {
  double = new HubSpotDouble({ portal: PORTAL });
  const hubspot = await double.listen();
  folder = newFolder('operators');
  server = new Program(find('ruby'), [fileURLToPath(new URL('../../ruby/test/web/shop.rb', import.meta.url)), hubspot, folder]);
  const [line] = await server.says(/\{"url".*\}/, BOOT_MS);
  app = JSON.parse(line);
  if (PICTURES) mkdirSync(PICTURES, { recursive: true });
});

after(async () => {
  await server?.close();
  await double?.close();
  if (folder) remove(folder);
});

/** What walks through the page, and looks at the next one only when it is there. */
class Walker {
  constructor(name, tab) {
    this.name = name;
    this.tab = tab;
  }

  /** @param {string} address  after the mount */
  async open(address) {
    await this.tab.goto(`${app.url}/vidcache${address}`);
  }

  /** Whatever leads to another page, and then that page. */
  async leads(act) {
    const left = await this.tab.evaluate('performance.timeOrigin');
    await act();
    await this.tab.waitFor((before) => performance.timeOrigin !== before && document.readyState === 'complete', left);
  }

  click(css) {
    return this.leads(() => this.tab.click(css));
  }

  /** @param {string} text  of the only link or button that says so */
  async press(text) {
    await this.tab.evaluate((wanted) => {
      document.querySelectorAll('[data-walk]').forEach((element) => element.removeAttribute('data-walk'));
      const found = [...document.querySelectorAll('a, button')].filter((element) => element.textContent.trim() === wanted);
      if (found.length !== 1) throw new Error(`${found.length} say "${wanted}" on ${location.pathname}`);
      found[0].setAttribute('data-walk', '');
    }, text);
    await this.click('[data-walk]');
  }

  async search(text) {
    await this.tab.fill('#what', text);
    await this.leads(() => this.tab.press('#what', 'Enter'));
  }

  text(css = 'main') {
    return this.tab.evaluate((selector) => document.querySelector(selector).innerText, css);
  }

  async says(pattern, css) {
    assert.match(await this.text(css), pattern);
  }

  async isAt(address) {
    assert.equal((await this.tab.url()).slice(app.url.length), address);
  }

  async picture(name) {
    if (PICTURES) await this.tab.screenshot(join(PICTURES, `${this.name}-${name}.png`));
  }

  /** Nothing that WCAG AA forbids, and nothing wider than the window. */
  async isWell() {
    const { wrong, wide } = await this.tab.evaluate(`(async () => {
      ${AXE};
      const { violations } = await axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] });
      return {
        wrong: violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ': ' + target + ': ' + failureSummary)),
        wide: document.documentElement.scrollWidth - innerWidth,
      };
    })()`);
    assert.deepEqual(wrong, [], await this.tab.url());
    assert.ok(wide <= 0, `${await this.tab.url()} is ${wide} pixels wider than the window`);
  }

  /**
   * No word of a table or a list is broken, but for those that are longer than a line could ever be (a user's key).
   * @returns {Promise<string[]>} the broken words
   */
  broken() {
    return this.tab.evaluate(() => {
      const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
      const found = new Set();
      const range = document.createRange();
      for (let node; (node = walker.nextNode());) {
        if (!node.parentElement.checkVisibility()) continue;
        for (const { 0: word, index } of node.data.matchAll(/[^\s/.:-]{2,24}(?=[\s/.:,;-]|$)/g)) {
          if (/\S/.test(node.data[index - 1] ?? ' ')) continue;
          range.setStart(node, index);
          range.setEnd(node, index + word.length);
          if (new Set([...range.getClientRects()].filter((box) => box.width > 0).map((box) => Math.round(box.top))).size > 1) found.add(word);
        }
      }
      return [...found];
    });
  }
}

async function begin(t, engine, { dark, width, as = 'operator' }) {
  const browser = await launch(engine, { dark });
  t.after(() => browser.close());
  const tab = await (await browser.newProfile()).newTab();
  await tab.size(width, 900);
  if (as) await tab.goto(`${app.url}/as/${as}`);
  return { browser, tab, walker: new Walker(`${engine}-${dark ? 'dark' : 'light'}-${width}`, tab) };
}

/** Every screen, by its address, with a piece of what it shows. */
function screens() {
  return {
    overview: ['', /1,000 or more/],
    changes: ['/changes', /9001\s.*ago[^]*HubSpot asks to wait[^]*ConnectionRefused/],
    conflicts: ['/conflicts', /holds their email/],
    unlinked: ['/unlinked', /10000 User/],
    agreed: ['/user?key=1', /names the email/],
    waiting: ['/user?key=9002', /HubSpot asks to wait/],
    long: [`/user?key=${app.long}`, /not_linked[^]*ConnectionRefused/],
    contact: ['/contact?id=200000000001', /user 1$/m],
    forget: ['/user/forget?key=7', /There is no way back/],
    merge: [`/conflict/merge?key=${app.merges.at(-1)[0]}`, /HubSpot has no way to take a merge back/],
    nobody: ['/user?key=0123456789012345678901234567890123456789012345678901234567890123456789', /of whom the app has no row/],
    refused: ['/contact?id=none', /That is no contact’s id|That is no contact's id/],
  };
}

for (const engine of ENGINES) {
  const skip = missing(engine) ?? false;
  if (skip) console.log(`${engine}: ${skip}`);

  for (const [dark, width] of [[false, WIDE], [true, NARROW]]) {
    test(`${engine}: every screen, ${dark ? 'dark' : 'light'}, ${width} pixels`, { skip, timeout: 120_000 }, async (t) => {
      const { browser, tab, walker } = await begin(t, engine, { dark, width });
      for (const [name, [address, shows]] of Object.entries(screens())) {
        await walker.open(address);
        await walker.says(shows);
        assert.equal(await tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"), dark);
        assert.equal(await tab.evaluate('innerWidth'), width);
        await walker.isWell();
        assert.deepEqual(await walker.broken(), [], `words that are broken on ${address}`);
        await walker.picture(name);
      }
      assert.deepEqual(browser.problems(), []);
    });
  }

  test(`${engine}: who is found, and each button`, { skip, timeout: 120_000 }, async (t) => {
    const { browser, walker } = await begin(t, engine, { dark: false, width: WIDE });
    const [merged, mine, other] = app.merges[ENGINES.indexOf(engine)];
    const own = (first) => first + ENGINES.indexOf(engine);
    await walker.open('');
    for (const [link, title] of [['Conflicts', 'Conflicts'], ['Without a contact', 'Users without a contact'], ['Overview', 'Overview'], ['All changes', 'Outstanding changes']]) {
      await walker.press(link);
      await walker.says(new RegExp(`^${title}$`), 'h1');
    }

    await walker.search(' U5@Shop.test ');
    await walker.isAt('/vidcache/user?key=5');
    await walker.search('vid:200000000006');
    await walker.isAt('/vidcache/contact?id=200000000006');
    await walker.press('6');
    await walker.says(/gives the id vid:200000000006/);
    await walker.search('nobody@shop.test');
    await walker.says(/The app has no such user/);
    await walker.search('<b>vid:1</b>');
    await walker.says(/of whom the app has no row/);

    await walker.search(String(merged));
    await walker.press('Read again');
    await walker.says(/what it said is recorded/);
    await walker.open(`/user?key=${own(9001)}`);
    await walker.press('Retry');
    await walker.says(/A job is on its way/);

    await walker.search(String(own(3)));
    await walker.press('Forget…');
    await walker.press('Keep them');
    await walker.says(/names the email/);
    await walker.press('Forget…');
    await walker.press(`Forget user ${own(3)}`);
    await walker.says(/All that was held on this user is forgotten/);
    await walker.says(/gives no id/);

    await walker.open(`/user?key=${merged}`);
    await walker.press('Merge…');
    await walker.says(new RegExp(`Contact ${mine}[^]*It survives[^]*Contact ${other}[^]*merged into contact ${mine}`));
    const before = double.state().contacts.length;
    await walker.press('Leave them as they are');
    await walker.isAt('/vidcache/conflicts');
    await walker.open(`/conflict/merge?key=${merged}`);
    await walker.press(`Merge ${other} into ${mine}`);
    await walker.says(/The two contacts are one now/);
    assert.equal(double.state().contacts.length, before - 1);
    // A form that is sent twice, by the browser's way back.
    await walker.leads(() => walker.tab.back());
    await walker.press(`Merge ${other} into ${mine}`).catch(() => {});
    await walker.says(/That user has no conflict/);
    assert.deepEqual(browser.problems(), []);
  });

  test(`${engine}: by the keyboard alone`, { skip, timeout: 120_000 }, async (t) => {
    const { browser, tab, walker } = await begin(t, engine, { dark: false, width: WIDE });
    await walker.open('');
    const tabbed = async () => {
      await tab.type('', undefined, 'Tab');
      return tab.evaluate(() => {
        const { textContent, id, tagName } = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return { what: id || textContent.trim() || tagName, seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
      });
    };
    const order = [];
    for (let step = 0; step < 10; step += 1) order.push(await tabbed());
    assert.deepEqual(order.map(({ what }) => what), ['To the content', 'vidcache', 'Overview', 'Changes', 'Conflicts', 'Without a contact', 'what', 'Find', 'look at the newest', 'The numbers']);
    assert.deepEqual(order.filter(({ seen }) => !seen), []);
    assert.equal(await tab.evaluate("document.querySelector('details').open"), false);
    await tab.type('', undefined, 'Enter');
    await tab.waitFor("document.querySelector('details').open");
    await walker.isWell();

    await walker.open('/user?key=11');
    await tabbed();
    await tab.type('', undefined, 'Enter');
    await tab.waitFor("document.activeElement.id === 'main'");
    assert.equal((await tabbed()).what, '200000000011');
    assert.equal((await tabbed()).what, 'Read again');
    assert.equal((await tabbed()).what, 'Retry');
    assert.equal((await tabbed()).what, 'Forget…');
    await walker.leads(() => tab.type('', undefined, 'Enter'));
    await walker.isAt('/vidcache/user/forget?key=11');
    assert.deepEqual(browser.problems(), []);
  });

  test(`${engine}: who may look presses nothing, and who may not sees nothing`, { skip, timeout: 120_000 }, async (t) => {
    const { tab, walker } = await begin(t, engine, { dark: false, width: WIDE, as: null });
    for (const address of ['', '/user?key=1']) {
      await walker.open(address);
      await walker.says(/You may not see this page/);
      assert.doesNotMatch(await walker.text('body'), /2000000/);
    }
    await tab.goto(`${app.url}/as/viewer`);
    for (const [address] of Object.values(screens())) {
      await walker.open(address);
      assert.deepEqual(await tab.evaluate("[...document.querySelectorAll('main form, main button')].length"), 0, address);
    }
    await walker.search('u5@shop.test');
    await walker.isAt('/vidcache/user?key=5');
    // A form that stood there before the right was taken away.
    await tab.goto(`${app.url}/as/operator`);
    await walker.open('/user/forget?key=5');
    await tab.evaluate("document.cookie = 'as=viewer; path=/'");
    await walker.press('Forget user 5');
    await walker.says(/You may look at this page, and press none of its buttons/);
    await walker.open('/user?key=5');
    await walker.says(/names the email/);
  });
}
