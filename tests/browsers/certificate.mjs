// A certificate for HubSpot's hosts, made anew for each browser. Chromium has track.hubspot.com on its built-in list of
// hosts that are asked by https only, whatever the page says, and nothing switches that list off.

import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder, remove } from './processes.mjs';

const NAMES = 'DNS:track.hubspot.com,DNS:*.hs-scripts.com';

/**
 * @returns {{key: string, cert: string, fingerprint: string}} the fingerprint of the public key, as Chromium's flag
 * wants it
 */
export function newCertificate() {
  const folder = newFolder('certificate');
  try {
    const [keyFile, certFile] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30', '-subj', '/CN=HubSpot double',
      '-addext', `subjectAltName=${NAMES}`, '-keyout', keyFile, '-out', certFile,
    ], { stdio: 'pipe' });
    const [key, cert] = [keyFile, certFile].map((file) => readFileSync(file, 'utf8'));
    const publicKey = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
    return { key, cert, fingerprint: createHash('sha256').update(publicKey).digest('base64') };
  } finally {
    remove(folder);
  }
}
