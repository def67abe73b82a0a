# frozen_string_literal: true

require "fileutils"
require "openssl"
require "pathname"
require "active_support/ordered_options"

module Vidcache
  # `config.vidcache` with the defaults filled in.
  class Settings
    # Seconds that a page view may take from the browser to HubSpot: the least that {#quiet_period} should be longer than
    # {#page_deadline}.
    TRANSIT = 5.0

    # @param app [Rails::Application, nil] nil where the helpers are used without one: then nothing is configured
    def initialize(app)
      @app = app
      @options = app ? app.config.vidcache : ActiveSupport::OrderedOptions.new
      @respect_do_not_track = @options[:respect_do_not_track] ? true : false # Every page asks.
    end

    # @return [Boolean] whether the app has said which portal is its
    def configured?
      @options.portal_id.present?
    end

    # @return [Integer, Object] as given if it is no integer, so that opening the cache says what is wrong with it
    def portal_id
      Integer(@options.portal_id, exception: false) || @options.portal_id
    end

    # @return [Pathname]
    def path
      @app.root.join(@options.path.presence || "storage/hubspot.vidcache")
    end

    # What keys the fingerprints of the emails in the file. Not from the app's `key_generator`: what that returns changes with
    # `load_defaults`, and a file made with another secret is refused.
    #
    # @return [String] bytes
    def secret
      @options.secret || OpenSSL::HMAC.digest("SHA256", @app.secret_key_base, "vidcache: fingerprints of emails, 1")
    end

    # @return [Float] seconds
    def page_deadline
      (@options.page_deadline.presence || 10).to_f
    end

    # @return [Float] seconds
    def quiet_period
      (@options.quiet_period.presence || page_deadline + TRANSIT).to_f
    end

    # @return [String, nil] what {ContactJob} calls HubSpot with
    def access_token
      @options.access_token.presence
    end

    # @return [String, nil] the HubSpot app's, that its webhooks are signed with
    def client_secret
      @options.client_secret.presence
    end

    # @return [String, nil] the address that HubSpot calls, where it cannot be told from the request
    def webhook_url
      @options.webhook_url.presence
    end

    # @return [String, nil] another address than HubSpot's, for {ContactJob}; a double's, in tests
    def api_url
      @options.api_url.presence
    end

    # @return [Boolean] whether visitors whose browser says `DNT: 1` or `Sec-GPC: 1` get no tracking code
    def respect_do_not_track?
      @respect_do_not_track
    end

    # @return [self]
    # @raise [ArgumentError] the worker would not wait for pages that may still name the old email
    def check
      return self if !configured? || quiet_period > page_deadline

      raise ArgumentError,
            "config.vidcache.quiet_period (#{quiet_period} s) must be longer than config.vidcache.page_deadline " \
            "(#{page_deadline} s): a page may name an email for so long after it was rendered, and the worker must not " \
            "tell HubSpot of a change before the last page that names the old email is older than that"
    end

    # Opens the file, making its folder if need be.
    #
    # @return [Vidcache::Cache]
    # @raise [Vidcache::NotConfigured, Vidcache::Error, SystemCallError]
    def open
      raise NotConfigured, "config.vidcache.portal_id is not set" unless configured?

      FileUtils.mkdir_p(path.dirname)
      Vidcache.open(path, portal_id: portal_id, secret: secret, page_deadline: page_deadline, **options_given)
    end

    private

    # Those whose defaults are the core's.
    def options_given
      { synchronous: @options.synchronous, busy_timeout: @options.busy_timeout, loader_host: @options.loader_host,
        memory: @options.memory }.compact
    end
  end
end
