// W3C WebDriver, over fetch: one session at one driver.

/** The name that WebDriver gives to a reference to an element. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

/** A driver that does not answer holds up whatever waits behind the command. */
const COMMAND_MS = 40_000;

export class WebDriver {
  #base;
  #session = '';

  /** @param {string} base  the driver's address */
  constructor(base) {
    this.#base = base;
  }

  /** @returns {Promise<any>} the session's capabilities */
  async open(alwaysMatch) {
    const { sessionId, capabilities } = await this.send('POST', '/session', { capabilities: { alwaysMatch } });
    this.#session = `/session/${sessionId}`;
    return capabilities;
  }

  /** A command of the session. @returns {Promise<any>} */
  command(method, path, body) {
    return this.send(method, this.#session + path, body);
  }

  async send(method, path, body = method === 'POST' ? {} : undefined) {
    const response = await fetch(this.#base + path, { method, signal: AbortSignal.timeout(COMMAND_MS), ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
    return value;
  }

  /** @returns {Promise<string>} the element's reference */
  async element(css) {
    return (await this.command('POST', '/element', { using: 'css selector', value: css }))[ELEMENT];
  }
}
