# frozen_string_literal: true

require "active_support/core_ext/string/output_safety"
require "securerandom"
require "vidcache/rails/tracking_data"

module Vidcache
  # For the layout:
  #
  #     <%= hubspot_tracking_tag(current_user) %>
  #
  # None of these ever breaks a page: whatever goes wrong, it goes out without what the tag stands for, and the failure
  # is reported once per page. (In development and tests a tag in a fragment cache raises: see {#hubspot_tracking_tag}.)
  module ViewHelper
    include TrackingData

    # HubSpot's tracking code for this portal, identifying the user as far as that is safe: by email and id while app
    # and HubSpot agree on the email, else by id alone, else not at all. It takes the place of HubSpot's own embed code;
    # put it at the end of `<body>`, in the layout, **outside any fragment cache**: it says what is so at this moment.
    # In a `cache` block it raises in development and tests; elsewhere it says nothing there, and that is reported.
    #
    # Turbo and Turbolinks need nothing more: the script counts each visit once, and neither previews nor restored
    # pages.
    #
    # Failures: `ActiveSupport::Notifications` ("failure.vidcache"), `Rails.error` where there is one, and a line in the
    # log. Without `config.vidcache.portal_id` it renders nothing.
    #
    # A page that carries an identity is sent with `Cache-Control: private, no-store`, which keeps it from the browser's
    # back/forward cache too, and without what CDNs and nginx believe before that (`Surrogate-Control`,
    # `CDN-Cache-Control` and its kind, `Edge-Control`, `X-Accel-Expires`), unless a middleware sets it later. With
    # `config.vidcache.no_store = false` it is `private, no-cache`, without the ETag or Last-Modified that the action
    # has set.
    #
    # @param user [Vidcache::Model, #vidcache_key, nil] nil for a visitor who is not signed in: the code, and no
    #   identity
    # @param impersonated [Boolean] whether somebody else than `user` sits at the browser, such as a member of staff who
    #   looks at the app as that user: then the page has the code, and no identity
    # @param nonce [String, false, nil] the page's CSP nonce. nil takes the app's, if it has a nonce generator
    # @param consent [Boolean] whether the visitor agrees to be tracked, where the app asks for that itself. Without,
    #   nothing is rendered. (HubSpot's own banner needs nothing here: it is part of what the loader loads.)
    # @return [ActiveSupport::SafeBuffer] two `<script>` elements, or nothing
    # @raise [InFragmentCache] in development and tests
    def hubspot_tracking_tag(user, impersonated: false, nonce: nil, consent: true)
      vidcache_tag("hubspot_tracking_tag", consent, user) { |visitor| vidcache_snippet((visitor unless impersonated), vidcache_nonce(nonce)) }
    end

    # In the place of {#hubspot_tracking_tag} on the page that follows a sign-out: the tracking code, no identity, and
    # HubSpot's code gives the browser a new usertoken, so that nothing it sends from here on belongs to the former
    # user's contact. Without it the next visitor of this browser goes on under the cookie that HubSpot has linked to
    # that contact.
    #
    #     <%= flash[:hubspot_signed_out] ? hubspot_signed_out_tag : hubspot_tracking_tag(current_user) %>
    #
    # The flash is set once the session has been reset; with Devise in the ApplicationController:
    #
    #     def after_sign_out_path_for(scope)
    #       flash[:hubspot_signed_out] = true
    #       super
    #     end
    #
    # and by hand:
    #
    #     reset_session
    #     flash[:hubspot_signed_out] = true
    #     redirect_to root_path
    #
    # @param nonce [String, false, nil] as for {#hubspot_tracking_tag}
    # @param consent [Boolean] as for {#hubspot_tracking_tag}
    # @return [ActiveSupport::SafeBuffer] two `<script>` elements, or nothing
    # @raise [InFragmentCache] in development and tests
    def hubspot_signed_out_tag(nonce: nil, consent: true)
      vidcache_tag("hubspot_signed_out_tag", consent) do
        html = Vidcache.cache.signed_out_snippet(nonce: vidcache_nonce(nonce))
        vidcache_keep_from_caches
        ActiveSupport::SafeBuffer.new(html)
      end
    end

    # Tells HubSpot of an event of the visitor's, once per rendered page: neither Turbo's previews nor pages that it
    # restores tell it again.
    #
    #     <%= hubspot_event_tag("pe62515_signed_up", plan: "pro") %>
    #
    # @param name [String, Symbol] the event's internal name at HubSpot
    # @param properties [Hash] of it; **no email**, which belongs in `hubspot_tracking_tag` alone
    # @param nonce [String, false, nil] as for {#hubspot_tracking_tag}
    # @return [ActiveSupport::SafeBuffer]
    def hubspot_event_tag(name, properties = {}, nonce: nil)
      vidcache_calls([["trackCustomBehavioralEvent", { name: name.to_s, properties: properties }]], nonce)
    end

    # A page view that no visit of the browser's is: a step of a form, the content of a Turbo frame. Turbo's own visits
    # count by themselves.
    #
    # @param path [String] from the first `/` on
    # @param nonce [String, false, nil] as for {#hubspot_tracking_tag}
    # @return [ActiveSupport::SafeBuffer]
    def hubspot_page_view_tag(path, nonce: nil)
      vidcache_calls([["setPath", path.to_s], ["trackPageView"]], nonce)
    end

    # The path that HubSpot books this page's view under, where it is another than the browser's: one without a token in
    # it, say. Before `hubspot_tracking_tag`, on a page that is loaded in full.
    #
    # @param path [String] from the first `/` on
    # @param nonce [String, false, nil] as for {#hubspot_tracking_tag}
    # @return [ActiveSupport::SafeBuffer]
    def hubspot_path_tag(path, nonce: nil)
      vidcache_calls([["setPath", path.to_s]], nonce)
    end

    # Has HubSpot's code set its `__hs_do_not_track` cookie: this browser is not tracked any more, until that is
    # removed.
    #
    # @param nonce [String, false, nil] as for {#hubspot_tracking_tag}
    # @return [ActiveSupport::SafeBuffer]
    def hubspot_do_not_track_tag(nonce: nil)
      vidcache_calls([["doNotTrack"]], nonce)
    end

    # Takes the visitor's consent back: HubSpot's code removes its cookies. What HubSpot holds already stays.
    #
    # @param nonce [String, false, nil] as for {#hubspot_tracking_tag}
    # @return [ActiveSupport::SafeBuffer]
    def hubspot_revoke_consent_tag(nonce: nil)
      vidcache_calls([["revokeCookieConsent"]], nonce)
    end

    # Rails' own, and knows that it is at work: before Rails 7 nobody could tell, and no version can while caching is
    # off, as it is in development.
    # @api private
    def cache(name = {}, options = {}, &block)
      @vidcache_fragments = @vidcache_fragments.to_i + 1
      super
    ensure
      @vidcache_fragments -= 1
    end

    private

    ENDING = %w[doNotTrack revokeCookieConsent].freeze
    WITHOUT = "the page goes out without HubSpot's tracking code"
    private_constant :ENDING, :WITHOUT

    def vidcache_tag(name, consent, user = nil)
      Portals.of_page(user) do |visitor|
        next ActiveSupport::SafeBuffer.new unless Vidcache.configured? && consent

        vidcache_refuse_fragment(name)
        hubspot_do_not_track? ? ActiveSupport::SafeBuffer.new : yield(visitor)
      end
    rescue StandardError, ScriptError => e
      vidcache_failed(e, WITHOUT)
      ActiveSupport::SafeBuffer.new
    end

    def vidcache_nonce(nonce)
      # A view that is rendered without a request (`ApplicationController.helpers`) has the method too, and no policy.
      nonce = content_security_policy_nonce if nonce.nil? && respond_to?(:content_security_policy_nonce) && vidcache_request
      nonce if nonce && nonce != ""
    end

    # What is written here is put into the page as it is: a buffer of its own costs half of what `html_safe` makes of a
    # String.
    def vidcache_snippet(user, nonce)
      cache = Vidcache.cache
      return ActiveSupport::SafeBuffer.new(cache.anonymous_snippet(nonce: nonce)) unless user

      html = ActiveSupport::SafeBuffer.new
      key = vidcache_key_of(user, "hubspot_tracking_tag")
      reason = begin
        cache.append_snippet(html, key, user.vidcache_email, nonce: nonce)
      rescue InvalidEmail
        # No address HubSpot could hold, so none to agree on.
        cache.append_snippet(html, key, nil, nonce: nonce)
      end
      vidcache_keep_from_caches unless reason == :not_linked
      Instrumentation.page(key, reason)
      html
    end

    # Pushed onto HubSpot's queue, whether its code is there yet or not; JSON that no `</script>` gets out of.
    def vidcache_calls(calls, nonce)
      # Of no portal in particular: where each tenant has one, whichever the page is of.
      return ActiveSupport::SafeBuffer.new unless Vidcache.configured? || (Portals.current.nil? && Vidcache.settings.several?)
      return ActiveSupport::SafeBuffer.new if hubspot_do_not_track? && !ENDING.include?(calls.dig(0, 0))

      script = "(function(w,d,id){var r=d.documentElement,seen=w.__vidcacheCalls=w.__vidcacheCalls||{};" \
               "if(seen[id]||r.hasAttribute('data-turbo-preview')||r.hasAttribute('data-turbolinks-preview'))return;seen[id]=1;" \
               "var q=w._hsq=w._hsq||[];#{calls.map { |call| "q.push(#{vidcache_json(call)});" }.join}" \
               "})(window,document,#{vidcache_json(SecureRandom.hex(8))});"
      nonce = vidcache_nonce(nonce)
      attribute = %( nonce="#{ERB::Util.html_escape(nonce)}") if nonce
      "<script#{attribute}>#{script}</script>".html_safe
    rescue StandardError, ScriptError => e
      vidcache_failed(e, WITHOUT)
      ActiveSupport::SafeBuffer.new
    end

    def vidcache_json(value)
      ERB::Util.json_escape(JSON.generate(value.as_json))
    end
  end
end
