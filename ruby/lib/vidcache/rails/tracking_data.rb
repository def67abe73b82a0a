# frozen_string_literal: true

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
    # In a request's environment: its response says, or asks, who the visitor is.
    # @api private
    ON_PAGE = "vidcache.on_page"

    # For controllers: what the action, or what comes after it, says of caches once the page is rendered, gives way too.
    # @api private
    module Last
      private

      def process_action(*)
        super.tap { vidcache_keep_from_caches if request.get_header(TrackingData::ON_PAGE) }
      end
    end

    # For controllers: the gems that cache whole actions and pages on the server ask this before they keep one, which
    # would tell everybody who its first visitor was.
    # @api private
    module NotKept
      private

      # @return [Boolean]
      def caching_allowed?
        !request.get_header(TrackingData::ON_PAGE) && super
      end
    end

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
      return false unless Vidcache.settings.respect_do_not_track? && respond_to?(:request) && request

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

    # What caches that many share (CDNs, nginx) believe before `Cache-Control`, or in its place.
    FOR_SHARED_CACHES = /\A(?:.+-Cache-Control|Surrogate-Control|Edge-Control|X-Accel-Expires)\z/i
    # What most pages have, so that nobody has to search these names: that cost as much as the rest of a tag. In small
    # letters too, as Rack 3 has them.
    USUAL = %w[Cache-Control Content-Length Content-Security-Policy Content-Type ETag Link Referrer-Policy Set-Cookie Strict-Transport-Security
               Vary X-Content-Type-Options X-Download-Options X-Frame-Options X-Permitted-Cross-Domain-Policies X-Request-Id X-Runtime
               X-XSS-Protection].flat_map { |name| [name, name.downcase] }.to_h { |name| [name.freeze, true] }.freeze
    private_constant :FOR_SHARED_CACHES, :USUAL

    # By the header alone, whose form is the same in every version of Rails; what `expires_in` or `fresh_when` have set
    # would be merged into it. Leaves `no-store` as it is, and a response whose headers are sent (a streamed page) too:
    # the script then has its own guard against old pages.
    def vidcache_keep_from_caches
      response = vidcache_response or return
      return if response.committed?

      headers = response.headers
      # Before Rails 7.1 they stand behind a Delegator, each of whose methods costs six of a Hash's.
      found = headers.respond_to?(:__getobj__) ? headers.__getobj__ : headers
      found.keys.reject { |name| USUAL.key?(name) }.grep(FOR_SHARED_CACHES).each { |name| headers.delete(name) }
      response.request&.set_header(ON_PAGE, true)
      control = response.cache_control
      # What an action says by `expires_in` wins over the header from Rails 7.0 on, over its `no-store` too.
      return if control[:no_store] || (control.empty? && found["Cache-Control"]&.include?("no-store"))

      control.clear
      if Vidcache.settings.no_store?
        headers["Cache-Control"] = "private, no-store"
      else
        vidcache_keep_from_answering_again(response, headers)
      end
    end

    # Rails itself would make `no-cache` of `private, no-cache`, but leaves what it does not know as it stands. Without
    # a validator nobody can answer 304 and have an old page shown again. (Rack::ETag's, which comes later, is a digest
    # of the body, and each body has its time.)
    def vidcache_keep_from_answering_again(response, headers)
      %w[Cache-Control ETag Last-Modified].each { |name| headers.delete(name) }
      response.cache_control[:extras] = ["no-cache"]
    end

    # @return [ActionDispatch::Response, nil]
    def vidcache_response
      response
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
