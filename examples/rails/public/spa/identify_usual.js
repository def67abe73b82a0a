// What everyone does: HubSpot is told the email that the shop has.

/** @param {Promise<{email?: string}>} data */
export const identify = async (data) => {
  const { email } = await data;
  if (email) (window._hsq = window._hsq || []).push(['identify', { email }]);
};
