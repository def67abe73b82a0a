/** What a page may say of its visitor, as the app's server gave it (`page_data`, `hubspot_tracking_data`). */
export interface PageData {
  /** When the server made the data, in milliseconds since 1970 by the server's clock. */
  at: number;
  /** How long after `at` the email may be named, in milliseconds. */
  ttl: number;
  /** The contact's external id, such as `vid:901`. Absent: no contact is known. */
  id?: string;
  /** The email that the app and HubSpot agree on. Absent: the page must not name one. */
  email?: string;
  /** The visitor has just signed out: HubSpot's code gives the browser a new usertoken. */
  out?: true;
}

/**
 * Tells HubSpot's tracking code who the page's visitor is now. Call it whenever the app has asked its server: at the
 * start, after a sign-in, after a change of the email. It throws nothing; where something is not as it should be, the
 * page says less.
 *
 * Give it the promise of the data, not the data: `show(fetch("/me.json").then((r) => r.json()))`. The data's age then
 * counts from the request. Of data that is handed over as such nobody knows when it was asked for. The first such data of
 * a document is taken to be as old as the document; later data is dated against the newest data before it, so that it
 * never looks younger than it is, and may look older.
 *
 * It counts no page view: push `setPath` and `trackPageView` as HubSpot documents for single-page apps.
 *
 * @returns for a promise, one that ends when the data was taken, or as the given one fails
 */
export function show(data: PageData): void;
export function show(data: PromiseLike<PageData>): Promise<void>;

/** The visitor has signed out: no identity is told from here on, and HubSpot's code gives the browser a new usertoken. */
export function signedOut(): void;
