# frozen_string_literal: true

require "vidcache/rails/caches_told"

module Vidcache
  # For a page that the app makes itself, in the browser: what `hubspot_tracking_tag` puts on a page, as data. Every
  # controller has these (of `ActionController::API` too), as private methods, and every view:
  #
  #     class MeController < ApplicationController
  #       def show
  #         render json: { name: current_user.name, hubspot: hubspot_tracking_data(current_user) }
  #       end
  #     end
  #
  # and in the browser, with `vidcache.js` (see {Vidcache.page_script_path}):
  #
  #     show(fetch("/me.json").then((response) => response.json()).then((me) => me.hubspot))
  #
  # **Neither the data nor what it is nested in may be cached**, in `Rails.cache` or by `json.cache!`: it says what is
  # so at this moment. The response is sent with `Cache-Control: private, no-store` (or as `config.vidcache.no_store`
  # says).
  #
  # None of these ever breaks a response: whatever goes wrong is reported, as {ViewHelper} does, and the data names
  # nobody.
  module TrackingData
    # Who the page's visitor is, as far as that is safe to say: see {ViewHelper#hubspot_tracking_tag} and
    # {Cache#page_data}.
    #
    # @param user [Vidcache::Model, #vidcache_key, nil] nil for a visitor who is not signed in
    # @param impersonated [Boolean] whether somebody else than `user` sits at the browser: then the data names nobody
    # @param consent [Boolean] whether the visitor agrees to be tracked, where the app asks for that itself. Without,
    #   and for browsers that ask not to be tracked ({#hubspot_do_not_track?}), the data names nobody; that HubSpot's
    #   code is not loaded then is the page's affair.
    # @return [Hash{String => Integer, String}] `at` and `ttl`, with `id` and `email` where they may be told; nothing
    #   without a cache
    def hubspot_tracking_data(user, impersonated: false, consent: true)
      vidcache_data("hubspot_tracking_data", user) do |cache, visitor|
        next cache.anonymous_page_data unless visitor && !impersonated && consent && !hubspot_do_not_track?

        vidcache_data_of(cache, vidcache_key_of(visitor, "hubspot_tracking_data"), visitor.vidcache_email)
      end
    end

    # The answer to a sign-out: {#hubspot_tracking_data} for nobody, and `show` has HubSpot's code give the browser a
    # new usertoken, so that nothing it sends from here on belongs to the former user's contact.
    #
    #     def destroy
    #       reset_session
    #       render json: hubspot_signed_out_data
    #     end
    #
    # @return [Hash{String => Integer, true}] `at`, `ttl` and `out`; nothing without a cache
    def hubspot_signed_out_data
      vidcache_data("hubspot_signed_out_data") do |cache|
        hubspot_do_not_track? ? cache.anonymous_page_data : cache.signed_out_page_data
      end
    end

    # @return [Boolean] whether the browser asks not to be tracked (`DNT: 1`, `Sec-GPC: 1`) and
    #   `config.vidcache.respect_do_not_track` is set. No tag but the two that end tracking renders anything then.
    def hubspot_do_not_track?
      return false unless Vidcache.settings.respect_do_not_track? && vidcache_request

      [request.headers["DNT"], request.headers["Sec-GPC"]].include?("1")
    end

    private

    def vidcache_data(name, user = nil)
      Portals.of_page(user) do |visitor|
        next {} unless Vidcache.configured?

        vidcache_refuse_fragment(name)
        vidcache_keep_from_caches
        yield Vidcache.cache, visitor
      end
    rescue StandardError, ScriptError => e
      vidcache_failed(e, "the data names nobody to HubSpot")
      vidcache_data_without_identity
    end

    def vidcache_data_of(cache, key, email)
      data = begin
        cache.page_data(key, email)
      rescue InvalidEmail
        cache.page_data(key, email = nil)
      end
      # For those who listen; a second look-up, so the answer may be newer.
      reason = data.key?("email") ? :agreed : cache.decide(key, email).reason
      Instrumentation.page(key, reason)
      data
    end

    def vidcache_data_without_identity
      Vidcache.cache.anonymous_page_data
    rescue StandardError
      {}
    end

    def vidcache_key_of(user, name)
      raise NoUser, "#{name} was given #{user.class.name}, which has no `has_vid`" unless user.respond_to?(:vidcache_key)

      key = user.vidcache_key
      raise NoUser, "#{name} was given #{user.class.name} without a key: it is not saved yet" if key.nil?

      key
    end

    # What is written into a fragment cache tells everybody who the first visitor was.
    def vidcache_refuse_fragment(name)
      return unless @vidcache_fragments&.positive?

      raise InFragmentCache, "#{name} stands in a fragment cache: move it out of the cache block"
    end

    # A response whose headers are sent (a streamed page) has no say any more: the script then has its own guard against
    # old pages.
    # @see CachesTold
    def vidcache_keep_from_caches
      vidcache_request&.set_header(CachesTold::ON_PAGE, true)
    end

    # @return [ActionDispatch::Request, nil] of the page; nil: it is rendered for none, as a mailer's is
    def vidcache_request
      request if respond_to?(:request)
    end

    # In development and tests a tag in a fragment cache is loud: nobody would notice it there.
    def vidcache_failed(error, outcome)
      raise error if error.is_a?(InFragmentCache) && (::Rails.env.development? || ::Rails.env.test?)

      kind = [error.class, (error.code if error.is_a?(Error))]
      return if (@vidcache_failures ||= []).include?(kind)

      @vidcache_failures << kind
      Failure.report(error, during: outcome)
    end
  end
end
