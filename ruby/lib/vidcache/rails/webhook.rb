# frozen_string_literal: true

require "stringio"
require "vidcache/rails/failure"
require "vidcache/rails/webhook_address"

module Vidcache
  # HubSpot's webhooks, as a Rack app for the routes:
  #
  #     post "/hubspot/webhooks", to: Vidcache::Webhook
  #
  # It checks the signature with `config.vidcache.client_secret` and takes the events in: contacts that were merged,
  # deleted, restored or erased in HubSpot, and emails that were changed there. Subscribe to `contact.merge`,
  # `contact.deletion`, `contact.restore`, `contact.privacyDeletion` and `contact.propertyChange` of `email`; others are
  # ignored.
  #
  # What a merge, a restoration or a deletion leaves of what was known is nothing, and HubSpot sends no webhook that
  # says which email the contact holds now: {ReconcileJob} is enqueued, which reads it.
  #
  # 204: taken in. 401: not signed by HubSpot for this address. 400: not understood, or not whole. 413: too large. 405:
  # no POST. 503: the file could not be written, and HubSpot sends it again.
  #
  # HubSpot signs the address that it calls: `config.vidcache.webhook_url` says which that is. Without it the request
  # says so, which is to say whoever sent it, and what HubSpot signed for another address of the same HubSpot app (a
  # staging server's) would be taken by whom it was not meant for: so in production every webhook is then refused with
  # 503, and HubSpot sends it again for a day. See {WebhookAddress}.
  #
  # In an app with a portal for each tenant each event is taken in by the portal that it names, if that portal's client
  # secret has signed it.
  #
  # Signatures of version 3 count, which name their time. `config.vidcache.webhook_signatures = %w[v3 v1]` takes
  # deliveries that have version 1 alone too (or `v2`): whoever has seen one can send it again for a day.
  #
  # What is refused with 401 is counted, not reported one by one: each reason once an hour, with how many there were.
  # Everybody can send such requests.
  module Webhook
    # HubSpot sends some hundred events of some hundred bytes at most.
    MAX_BODY = 1 << 20

    HEADERS = {
      signature_v3: "HTTP_X_HUBSPOT_SIGNATURE_V3", timestamp: "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP",
      signature: "HTTP_X_HUBSPOT_SIGNATURE", version: "HTTP_X_HUBSPOT_SIGNATURE_VERSION"
    }.freeze
    NO_ADDRESS = "config.vidcache.webhook_url is not set, so who sends a webhook would say which address it was signed for: " \
                 "set it to the whole address that is entered at HubSpot"
    private_constant :HEADERS, :NO_ADDRESS

    module_function

    # @param env [Hash] a Rack environment
    # @return [Array] a Rack response
    def call(env)
      return respond(405) unless env["REQUEST_METHOD"] == "POST"

      body = read(env) or return respond(400)
      # Services for errors send what a request holds; there are emails in this one.
      env.update("rack.input" => StringIO.new, "CONTENT_LENGTH" => "0")
      return respond(413) if body.bytesize > MAX_BODY

      portals = Portals.of_webhook(body)
      portals.blank? ? take(env, body, any: portals.nil?) : Portals.in_each(portals) { take(env, body) }
      respond(204)
    rescue InvalidSignature => e
      refuse(401, e, "#{e.message}. The address that was assumed is #{WebhookAddress.named(env)}")
    rescue NotConfigured => e
      refuse(503, e)
    rescue InvalidWebhook => e
      fail_with(400, e)
    rescue Error, SystemCallError => e
      fail_with(503, e)
    end

    # Events of other portals than the one that was said are passed over by the core. What has none of a portal of the
    # app's is verified, and that is all.
    def take(env, body, any: true)
      verify(env, body)
      return unless any

      report = Vidcache.cache.apply_webhook(body)
      ActiveSupport::Notifications.instrument("webhook.vidcache", report.to_h)
      Explanation::Traces.webhook
      read_soon if report.applied.positive?
    end

    # Nil: the sender left before the end, as everybody can.
    def read(env)
      env["rack.input"]&.read(MAX_BODY + 1).to_s
    rescue IOError, SystemCallError
      nil
    end

    def verify(env, body)
      secret = Vidcache.settings.client_secret or raise NotConfigured, "config.vidcache.client_secret is not set"
      raise NotConfigured, NO_ADDRESS if ::Rails.env.production? && Vidcache.settings.webhook_url.nil?

      given = HEADERS.transform_values { |name| env[name] }
      listed = Vidcache.settings.webhook_signatures
      Vidcache.verify_signature(secret, method: "POST", uri: WebhookAddress.of(env), body: body, **given,
                                        take_v1: listed.include?("v1"), take_v2: listed.include?("v2"))
    end

    # HubSpot has nothing to do with our queue, and the hourly task makes good what fails here.
    def read_soon
      ReconcileJob.soon
    rescue StandardError, NotImplementedError => e
      Failure.report_seldom(e, during: "no job was enqueued that reads contacts after a webhook")
    end

    # What a stranger can cause as often as they like.
    def refuse(status, error, text = nil)
      ActiveSupport::Notifications.instrument("refused_webhook.vidcache", status: status, code: error.code)
      Failure.report_seldom(error, during: ["a webhook was answered with #{status}", text].compact.join(": "))
      respond(status, text)
    end

    def fail_with(status, error)
      Failure.report(error, during: "a webhook was answered with #{status}")
      respond(status)
    end

    def respond(status, text = nil)
      headers = { "Cache-Control" => "no-store" }
      headers["Content-Type"] = "text/plain; charset=utf-8" if text
      [status, headers, [text].compact]
    end

    private_class_method :take, :read, :verify, :read_soon, :refuse, :fail_with, :respond
  end
end
