import { show } from '/vidcache.js';

/** @param {Promise<object>} data  what the server's `hubspot_tracking_data` gave */
export const identify = (data) => show(data);
