# frozen_string_literal: true

Rails.application.config.content_security_policy do |policy|
  policy.default_src :self
  # strict-dynamic: HubSpot's loader carries the nonce, the scripts that it adds do not.
  policy.script_src :self, :strict_dynamic
  policy.style_src :self
  # https is HubSpot's; http is for the HubSpot double of this repository, which has no certificate.
  policy.img_src :self, "https://track.hubspot.com", "http://track.hubspot.com"
  policy.connect_src :self, "https://track.hubspot.com", "http://track.hubspot.com"
  policy.object_src :none
  policy.base_uri :self
end

# A document keeps the nonce that it was loaded with, and Turbo runs the scripts of later pages in it: their nonce has
# to be the document's, so public/shop.js tells it. No other site can: its request would need this one's permission to
# carry the header.
Rails.application.config.content_security_policy_nonce_generator = lambda do |request|
  request.headers["X-Turbo-Nonce"].to_s[%r{\A[A-Za-z0-9+/]{22}==\z}] || SecureRandom.base64(16)
end
# style-src is for the progress bar that Turbo brings.
Rails.application.config.content_security_policy_nonce_directives = Shop.turbo ? %w[script-src style-src] : %w[script-src]
