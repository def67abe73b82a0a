# frozen_string_literal: true

module Vidcache
  # For the responses of Rails: a page that carries an identity is kept from every cache. Said as the response is
  # committed, which is once, and before anything of it is sent: whatever the action says of caches after the page is
  # rendered gives way too.
  # @api private
  module CachesTold
    # In a request's environment: its response says, or asks, who the visitor is.
    ON_PAGE = "vidcache.on_page"

    # For controllers: the gems that cache whole actions and pages on the server ask this before they keep one, which
    # would tell everybody who its first visitor was.
    # @api private
    module NotKept
      private

      # @return [Boolean]
      def caching_allowed?
        !request.get_header(ON_PAGE) && super
      end
    end

    # What caches that many share (CDNs, nginx) believe before `Cache-Control`, or in its place.
    FOR_SHARED_CACHES = /\A(?:.+-Cache-Control|Surrogate-Control|Edge-Control|X-Accel-Expires)\z/i
    # What most pages have, so that nobody has to search these names: that cost as much as the rest of a tag. In small
    # letters too, as Rack 3 has them.
    USUAL = %w[Cache-Control Content-Length Content-Security-Policy Content-Type ETag Link Referrer-Policy Set-Cookie Strict-Transport-Security
               Vary X-Content-Type-Options X-Download-Options X-Frame-Options X-Permitted-Cross-Domain-Policies X-Request-Id X-Runtime
               X-XSS-Protection].flat_map { |name| [name, name.downcase] }.to_h { |name| [name.freeze, true] }.freeze
    private_constant :FOR_SHARED_CACHES, :USUAL

    # @see ActionDispatch::Response#commit!
    def commit!
      vidcache_tell_caches if request&.get_header(ON_PAGE) && !committed?
      super
    end

    private

    # By the header alone, whose form is the same in every version of Rails; what `expires_in` or `fresh_when` have set
    # would be merged into it. Leaves `no-store` as it is.
    def vidcache_tell_caches
      # Before Rails 7.1 they stand behind a Delegator, each of whose methods costs six of a Hash's.
      found = headers.respond_to?(:__getobj__) ? headers.__getobj__ : headers
      found.keys.reject { |name| USUAL.key?(name) }.grep(FOR_SHARED_CACHES).each { |name| headers.delete(name) }
      # What an action says by `expires_in` wins over the header from Rails 7.0 on, over its `no-store` too.
      return if cache_control[:no_store] || (cache_control.empty? && found["Cache-Control"]&.include?("no-store"))

      cache_control.clear
      if Vidcache.settings.no_store?
        headers["Cache-Control"] = "private, no-store"
      else
        vidcache_keep_from_answering_again
      end
    end

    # Rails itself would make `no-cache` of `private, no-cache`, but leaves what it does not know as it stands. Without
    # a validator nobody can answer 304 and have an old page shown again. (Rack::ETag's, which comes later, is a digest
    # of the body, and each body has its time.)
    def vidcache_keep_from_answering_again
      %w[Cache-Control ETag Last-Modified].each { |name| headers.delete(name) }
      cache_control[:extras] = ["no-cache"]
    end
  end
end
