// HubSpot's contacts API, v3: as much of it as a shop needs. Each returns the body of the answer, which goes to the
// cache as it is.

const CONTACTS = '/crm/v3/objects/contacts';

/** HubSpot answered with an error. Says which, and nothing of the answer: HubSpot's messages quote emails. */
export class HubspotError extends Error {
  constructor(status) {
    super(`HubSpot answered with ${status}`);
    this.status = status;
  }
}

export class Hubspot {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  /** Tells HubSpot of a user's email: their contact's, or a new one's. */
  async tell(vid, email) {
    try {
      return vid ? await this.#call('PATCH', `/${vid}`, email) : await this.#create(email);
    } catch (error) {
      if (vid && error.status === 404) return this.#create(email);
      // Another contact has this email. What this one has is recorded, which ends the change; pages give the id alone.
      if (vid && error.status === 409) return this.#call('GET', `/${vid}?properties=email`);
      throw error;
    }
  }

  async #create(email) {
    try {
      return await this.#call('POST', '', email);
    } catch (error) {
      if (error.status !== 409) throw error;
      return this.#find(email);
    }
  }

  /** By a batch of one: an address with an email in it ends up in logs. */
  async #find(email) {
    return this.#send('POST', '/batch/read', { idProperty: 'email', inputs: [{ id: email }], properties: ['email'] });
  }

  async #call(method, path, email) {
    return this.#send(method, path, email && { properties: { email } });
  }

  async #send(method, path, body) {
    const response = await fetch(this.url + CONTACTS + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new HubspotError(response.status);
    return response.text();
  }
}
