# frozen_string_literal: true

require "openssl"
require "rack/utils"
require "securerandom"

module Vidcache
  class Web
    # Who may see the operators' page and press its buttons, and that a button was pressed on the page and nowhere else.
    #
    # A form's token is a keyed hash of the browser's cookie and of the form's address, so that it is worth nothing in
    # another browser or for another button. The key is derived of the app's `secret_key_base`. The origin is checked
    # besides: by `Sec-Fetch-Site`, which no page can set, or, where a browser sends none (plain HTTP), by `Origin`.
    #
    # @api private
    class Gate
      COOKIE = "vidcache_form"
      TOKEN = "token"
      # Where the page is open without a block.
      OPEN = %w[development test].freeze
      private_constant :OPEN

      # Who may not.
      class Refused < StandardError
        # @return [Integer]
        attr_reader :status

        # @return [Symbol] `:closed`, `:not_allowed`, `:only_looks`, `:other_origin` or `:no_token`
        attr_reader :why

        def initialize(why, sentence)
          @status = 403
          @why = why
          super(sentence)
        end
      end

      def initialize(visit, allow)
        @visit = visit
        @allow = allow
        @right = nil
        @browser = Rack::Utils.parse_cookies(visit.env)[COOKIE].to_s[/\A\h{32}\z/]
      end

      # @return [void]
      # @raise [Refused] who may not even look
      def pass
        @right = right
        raise Refused.new(:not_allowed, "You may not see this page.") unless @right
      end

      # @return [Boolean] whether buttons may be pressed
      def all?
        @right ? @right != :look : false
      end

      # @return [void]
      # @raise [Refused] who may look and no more
      def pass_button
        raise Refused.new(:only_looks, "You may look at this page, and press none of its buttons.") unless all?
      end

      # @return [void]
      # @raise [Refused]
      def check_form
        raise Refused.new(:other_origin, "The button was pressed on a page of another origin, or no browser said where.") unless same_origin?

        given = @visit.field(TOKEN).to_s
        return if @browser && Rack::Utils.secure_compare(token(@visit.path), given)

        raise Refused.new(:no_token, "The form is not of this browser, or its cookie is gone: load the page again.")
      end

      # @param address [String] of a button
      # @return [String] what its form sends along
      def token(address)
        browser = @browser || (@new ||= SecureRandom.hex(16))
        OpenSSL::HMAC.hexdigest("SHA256", key, "#{browser} #{address}")
      end

      # @return [Hash] a header that gives the browser its cookie, if a form was made for one that has none
      def cookie
        return {} unless @new

        parts = ["#{COOKIE}=#{@new}", "Path=#{@visit.env["SCRIPT_NAME"].to_s[%r{\A/[\w./~-]*\z}] || "/"}", "HttpOnly", "SameSite=Strict"]
        parts << "Secure" if @visit.request.ssl?
        { "Set-Cookie" => parts.join("; ") }
      end

      private

      def right
        return @allow.call(@visit.request) if @allow
        return true if OPEN.include?(::Rails.env.to_s)

        raise Refused.new(:closed, "This page is closed: `Vidcache::Web.allow { |request| … }` in an initializer says who may see it.")
      end

      def same_origin?
        site = @visit.env["HTTP_SEC_FETCH_SITE"]
        return site == "same-origin" if site

        origin = @visit.env["HTTP_ORIGIN"].to_s[%r{\Ahttps?://(.+)\z}, 1]
        # Behind a proxy with TLS the app may not know its scheme.
        !origin.nil? && [@visit.request.host_with_port, @visit.env["HTTP_HOST"]].include?(origin)
      end

      def key
        OpenSSL::HMAC.digest("SHA256", ::Rails.application.secret_key_base, "vidcache: forms of the operators' page, 1")
      end
    end
  end
end
