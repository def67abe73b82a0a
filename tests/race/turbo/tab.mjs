// A tab of an app that Turbo drives: one document, in which pages come and go. What a person does is done in the page,
// by the same words in every engine: links, buttons and forms are clicked, and Turbo takes it from there.

/** How long a visit may take until Turbo shows its page. */
const VISIT_MS = 10_000;

export class TurboTab {
  #tab;
  #tally;

  /**
   * @param {import('../engine.mjs').EngineTab} tab
   * @param {import('../tally.mjs').Tally} tally
   */
  constructor(tab, tally) {
    this.#tab = tab;
    this.#tally = tally;
  }

  /** The document that all that follows happens in. */
  async open(path) {
    const load = await this.#tally.page(this.#tab.goto(path));
    await this.#tab.waitFor(() => document.readyState === 'complete' && Boolean(window.Turbo));
    await this.#tab.evaluate(() => { window.raceDocument = true; });
    return load;
  }

  /** Follows a link. */
  visit(path) {
    return this.#show(path, (to) => {
      const link = document.querySelector('a.name');
      link.setAttribute('href', to);
      link.click();
    }, path);
  }

  /**
   * Fills the field, sends its form, and follows the redirect.
   * @param {string} field
   * @param {string} value
   * @param {string} path  where it leads
   */
  send(field, value, path) {
    return this.#show(path, (name, text) => {
      const input = document.querySelector(`form input[name="${name}"]`);
      input.value = text;
      input.form.requestSubmit();
    }, field, value);
  }

  /** @param {string} login */
  async signIn(login) {
    this.#tab.signIns.push({ at: Date.now(), login });
    return this.send('login', login, '/');
  }

  async signOut() {
    await this.#tab.settled();
    return this.#show('/sign_in', () => document.querySelector('header form').requestSubmit());
  }

  /** The two buttons of the app's pages: an event that the app pushes, and a click that HubSpot's code watches for. */
  async press(buttons = ['like', 'ask']) {
    for (const button of buttons) await this.#tally.event(this.#tab.press(button));
  }

  /** Back to the page before, which Turbo has kept. */
  async back() {
    const path = await this.#tab.evaluate(() => {
      history.back();
      return location.pathname;
    });
    await this.#tab.waitFor((left) => location.pathname !== left, path, { timeout: VISIT_MS });
    await this.#shown();
  }

  settled() {
    return this.#tab.settled();
  }

  /** @returns {Promise<import('../client.mjs').PageLoad>} */
  async #show(path, action, ...args) {
    const load = await this.#tally.page(this.#tab.load(() => this.#tab.evaluate(action, ...args)));
    await this.#tab.waitFor((to) => location.pathname === to, path, { timeout: VISIT_MS });
    await this.#shown();
    return load;
  }

  /** Waits until Turbo is done, in the document that was opened. */
  async #shown() {
    await this.#tab.waitFor(() => {
      const root = document.documentElement;
      return !root.hasAttribute('aria-busy') && !root.hasAttribute('data-turbo-preview');
    }, { timeout: VISIT_MS });
    if (!(await this.#tab.evaluate('window.raceDocument === true'))) throw new Error('Turbo was to show the page, and the browser loaded it in full');
  }
}
