// The little of HTML that the client without a browser must see: scripts, and the form with a given field.

/** @typedef {{src: string|null, code: string, nonce: string|null}} Script */

/**
 * The classic scripts of a page, in order. Modules, import maps and data blocks are not run without a browser.
 * @param {string} html
 * @returns {Script[]}
 */
export function scriptsOf(html) {
  const scripts = [];
  for (const [, attributeText, code] of html.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script\s*>/gi)) {
    const attributes = attributesOf(attributeText);
    if (attributes.type && !/^(text|application)\/(java|ecma)script$/i.test(attributes.type)) continue;
    scripts.push({ src: attributes.src ?? null, code, nonce: attributes.nonce ?? null });
  }
  return scripts;
}

/**
 * The form that has a field of this name.
 * @param {string} html
 * @param {string} field
 * @returns {{action: string, method: string, fields: Record<string, string>}}
 */
export function formWith(html, field) {
  for (const [, attributeText, body] of html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form\s*>/gi)) {
    const inputs = [...body.matchAll(/<input\b([^>]*)>/gi)].map((match) => attributesOf(match[1]));
    if (!inputs.some((input) => input.name === field)) continue;
    const { action = '', method = 'get' } = attributesOf(attributeText);
    const sent = inputs.filter((input) => input.name && !['submit', 'button', 'image', 'reset'].includes(input.type));
    return { action, method: method.toUpperCase(), fields: Object.fromEntries(sent.map((input) => [input.name, input.value ?? ''])) };
  }
  throw new Error(`the page has no form with a field "${field}"`);
}

/** @param {string} html @returns {string} */
export function titleOf(html) {
  return decode(/<title[^>]*>([\s\S]*?)<\/title>/i.exec(html)?.[1].trim() ?? '');
}

/** @param {string} text @returns {Record<string, string>} */
function attributesOf(text) {
  const attributes = {};
  for (const [, name, quoted, apostrophed, bare] of text.matchAll(/([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/g)) {
    attributes[name.toLowerCase()] = decode(quoted ?? apostrophed ?? bare ?? '');
  }
  return attributes;
}

function decode(text) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(amp|lt|gt|quot|apos));/gi, (whole, decimal, hex, name) =>
    name ? named[name.toLowerCase()] : String.fromCodePoint(decimal ? Number(decimal) : parseInt(hex, 16)));
}
