# frozen_string_literal: true

Rails.application.config.content_security_policy do |policy|
  policy.default_src :self
  # strict-dynamic: HubSpot's loader carries the nonce, the scripts that it adds do not.
  policy.script_src :self, :strict_dynamic
  # https is HubSpot's; http is for the HubSpot double of this repository, which has no certificate.
  policy.img_src :self, "https://track.hubspot.com", "http://track.hubspot.com"
  policy.connect_src :self, "https://track.hubspot.com", "http://track.hubspot.com"
  policy.object_src :none
  policy.base_uri :self
end

Rails.application.config.content_security_policy_nonce_generator = ->(_request) { SecureRandom.base64(16) }
Rails.application.config.content_security_policy_nonce_directives = %w[script-src]
