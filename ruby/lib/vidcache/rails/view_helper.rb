# frozen_string_literal: true

require "active_support/core_ext/string/output_safety"

module Vidcache
  # For the layout:
  #
  #     <%= hubspot_tracking_tag(current_user) %>
  module ViewHelper
    # HubSpot's tracking code for this portal, identifying the user as far as that is safe: by email and id while app and HubSpot
    # agree on the email, else by id alone, else not at all. It takes the place of HubSpot's own embed code; put it at the end of
    # `<body>`, in the layout, **outside any fragment cache**: it says what is so at this moment. (Rails 7 and later can tell; there a
    # tag in a `cache` block says nothing and is reported. Rails 6.1 cannot.)
    #
    # Turbo and Turbolinks need nothing more: the script counts each visit once, and neither previews nor restored pages.
    #
    # Never raises. Whatever goes wrong, the page goes out without tracking code, and the failure is reported once per page:
    # `ActiveSupport::Notifications` ("failure.vidcache"), `Rails.error` where there is one, and a line in the log.
    # Without `config.vidcache.portal_id` it renders nothing.
    #
    # A page that carries an identity is sent with `Cache-Control: private, no-store`.
    #
    # @param user [Vidcache::Model, #vidcache_key, nil] nil for a visitor who is not signed in: the code, and no identity
    # @param nonce [String, false, nil] the page's CSP nonce. nil takes the app's, if it has a nonce generator
    # @return [ActiveSupport::SafeBuffer] two `<script>` elements, or nothing
    def hubspot_tracking_tag(user, nonce: nil)
      return ActiveSupport::SafeBuffer.new unless Vidcache.configured?
      raise Error, "hubspot_tracking_tag stands in a fragment cache" if respond_to?(:caching?) && caching?

      nonce = content_security_policy_nonce if nonce.nil? && respond_to?(:content_security_policy_nonce)
      vidcache_snippet(user, nonce.presence).html_safe
    rescue StandardError, ScriptError => e
      vidcache_failed(e)
      ActiveSupport::SafeBuffer.new
    end

    private

    def vidcache_snippet(user, nonce)
      cache = Vidcache.cache
      return cache.anonymous_snippet(nonce: nonce) unless user

      key = user.vidcache_key
      html = begin
        cache.snippet(key, user.vidcache_email, nonce: nonce)
      rescue InvalidEmail
        # No address HubSpot could hold, so none to agree on.
        cache.snippet(key, nil, nonce: nonce)
      end
      vidcache_keep_from_caches if cache.resolve(key)
      html
    end

    # By the header alone, whose form is the same in every version of Rails; what `expires_in` or `fresh_when` have set
    # would be merged into it. Leaves `no-store` as it is, and a response whose headers are sent (a streamed page) too: the
    # script then has its own guard against old pages.
    def vidcache_keep_from_caches
      response = controller.response if respond_to?(:controller) && controller.respond_to?(:response)
      return if response.nil? || response.committed? || response.sent?
      return if response.cache_control[:no_store] || response.headers["Cache-Control"].to_s.include?("no-store")

      response.cache_control.clear
      response.headers["Cache-Control"] = "private, no-store"
    end

    def vidcache_failed(error)
      kind = [error.class, (error.code if error.is_a?(Error))]
      return if (@vidcache_failures ||= []).include?(kind)

      @vidcache_failures << kind
      Failure.report(error, during: "the page goes out without HubSpot's tracking code")
    end
  end
end
