# frozen_string_literal: true

require "vidcache/rails/failure"

module Vidcache
  # HubSpot's webhooks, as a Rack app for the routes:
  #
  #     post "/hubspot/webhooks", to: Vidcache::Webhook
  #
  # It checks the signature with `config.vidcache.client_secret` and takes the events in: contacts that were merged, deleted, restored
  # or erased in HubSpot, and emails that were changed there. Subscribe to `contact.merge`, `contact.deletion`, `contact.restore`,
  # `contact.privacyDeletion` and `contact.propertyChange` of `email`; others are ignored.
  #
  # 204: taken in. 401: not signed by HubSpot. 400: not understood. 413: too large. 405: no POST. 503: the file could not be written, and
  # HubSpot sends it again.
  #
  # The address that HubSpot signed is the public one. Where a proxy changes more of it than `X-Forwarded-Proto` and
  # `X-Forwarded-Host` say, set `config.vidcache.webhook_url`.
  module Webhook
    # HubSpot sends some hundred events of some hundred bytes at most.
    MAX_BODY = 1 << 20

    HEADERS = {
      signature_v3: "HTTP_X_HUBSPOT_SIGNATURE_V3", timestamp: "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP",
      signature: "HTTP_X_HUBSPOT_SIGNATURE", version: "HTTP_X_HUBSPOT_SIGNATURE_VERSION"
    }.freeze
    private_constant :HEADERS

    module_function

    # @param env [Hash] a Rack environment
    # @return [Array] a Rack response
    def call(env)
      return respond(405) unless env["REQUEST_METHOD"] == "POST"

      body = env["rack.input"]&.read(MAX_BODY + 1).to_s
      return respond(413) if body.bytesize > MAX_BODY

      verify(env, body)
      report = Vidcache.cache.apply_webhook(body)
      ActiveSupport::Notifications.instrument("webhook.vidcache", report.to_h)
      respond(204)
    rescue InvalidSignature => e
      respond(401, e)
    rescue InvalidWebhook => e
      respond(400, e)
    rescue Error, SystemCallError => e
      respond(503, e)
    end

    def verify(env, body)
      secret = Vidcache.settings.client_secret or raise NotConfigured, "config.vidcache.client_secret is not set"
      given = HEADERS.transform_values { |name| env[name] }
      Vidcache.verify_signature(secret, method: "POST", uri: address(env), body: body, **given)
    end

    # Not as Rails' `mount` has rewritten it.
    def address(env)
      request = Rack::Request.new(env)
      configured = Vidcache.settings.webhook_url
      return [configured, request.query_string.presence].compact.join("?") if configured

      path = env["ORIGINAL_FULLPATH"] || request.fullpath
      "#{request.base_url}#{path}"
    end

    def respond(status, error = nil)
      Failure.report(error, during: "a webhook was answered with #{status}") if error
      [status, { "Cache-Control" => "no-store" }, []]
    end

    private_class_method :verify, :address, :respond
  end
end
