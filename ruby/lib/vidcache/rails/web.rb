# frozen_string_literal: true

require "vidcache/rails/web/gate"
require "vidcache/rails/web/visit"
require "vidcache/rails/web/screens"
require "vidcache/rails/web/deeds"
require "vidcache/rails/web/view"

module Vidcache
  # The operators' page, as a Rack app for the routes, and who may see it, in an initializer:
  #
  #     mount Vidcache::Web => "/vidcache"
  #
  #     Vidcache::Web.allow { |request| request.env["warden"].user&.admin? }
  #
  # The block is given an `ActionDispatch::Request` and returns nil or false: refused; `:look`: may look, and press no
  # button; anything else: may do all. It runs behind the app's own sessions. Without a block the page is open in
  # development and tests, and refused to everybody elsewhere.
  #
  # Every address answers with JSON too, to `Accept: application/json` or with `?format=json`. A button is a `POST` of
  # the page's own origin with the token of the form that it stands in. No address and no answer has an email in it; one
  # that is looked for comes in the body of a `POST`, and is taken out of the request before anything else sees it.
  #
  # | notification | payload | when |
  # | --- | --- | --- |
  # | `web.vidcache` | `action`, `user_id`, `allowed`, `why` | a button was pressed; or somebody was refused |
  class Web
    # GET: a screen's name by its address. POST: a deed's.
    GETS = { "/" => :overview, "/changes" => :changes, "/conflicts" => :conflicts, "/unlinked" => :unlinked, "/user" => :user,
             "/contact" => :contact, "/user/forget" => :confirm_forget, "/conflict/merge" => :confirm_merge }.freeze
    POSTS = { "/search" => :search, "/user/read" => :read, "/user/retry" => :retry, "/user/forget" => :forget,
              "/conflict/merge" => :merge }.freeze
    STYLESHEET = File.expand_path("web/style.css", __dir__)
    private_constant :GETS, :POSTS, :STYLESHEET

    # What a screen or a deed ends with where there is nothing to show: a status and a sentence.
    class Stop < StandardError
      # @return [Integer]
      attr_reader :status

      def initialize(status, sentence)
        @status = status
        super(sentence)
      end
    end

    class << self
      # @yieldparam request [ActionDispatch::Request]
      # @yieldreturn [Object] nil or false: refused; `:look`: may look; anything else: may do all
      # @return [void]
      def allow(&block)
        raise ArgumentError, "Vidcache::Web.allow takes a block that says who may see the page" unless block

        @allow = block
      end

      # @param env [Hash] a Rack environment
      # @return [Array] a Rack response
      def call(env)
        new(Visit.new(env), @allow).response
      end

      # For tests.
      # @api private
      def forget_who_may
        @allow = nil
      end
    end

    # @api private
    def initialize(visit, allow)
      @visit = visit
      @gate = Gate.new(visit, allow)
    end

    # @api private
    # @return [Array] a Rack response
    def response
      @gate.pass
      return stylesheet if @visit.path == "/style.css" && @visit.get?

      @visit.get? ? show : press
    rescue Gate::Refused => e
      told(e)
      answer(e.status, :message, { message: e.message })
    rescue Stop => e
      answer(e.status, :message, { message: e.message })
    rescue Error, SystemCallError => e
      Failure.report(e, during: "the operators' page")
      answer(503, :message, { message: e.is_a?(Error) ? e.message : e.class.name })
    rescue StandardError => e
      # Not the app's to handle: databases and clients of HTTP quote what they were asked with.
      Failure.report(e, during: "the operators' page")
      answer(500, :message, { message: "This failed (#{e.class}): the app's log has where." })
    end

    private

    def show
      screen = GETS[@visit.path] or raise(POSTS.key?(@visit.path) ? Stop.new(405, "That is a button.") : Stop.new(404, "There is no such page."))
      answer(200, screen, Screens.new(@visit).public_send(screen))
    end

    def press
      raise Stop.new(405, "That is no button.") unless @visit.post? && POSTS.key?(@visit.path)

      deed = POSTS[@visit.path]
      @gate.pass_button unless deed == :search
      @gate.check_form
      address = Deeds.new(@visit).public_send(deed)
      ActiveSupport::Notifications.instrument("web.vidcache", action: deed, user_id: @visit.user_key?, allowed: true, why: nil) unless deed == :search
      redirect(address)
    end

    def told(refused)
      ActiveSupport::Notifications.instrument("web.vidcache", action: POSTS[@visit.path] || :look, user_id: nil, allowed: false, why: refused.why)
      ::Rails.logger&.warn("vidcache: the operators' page refused #{POSTS[@visit.path] ? "a button" : "to be seen"}: #{refused.message}")
    end

    def answer(status, screen, data)
      view = View.new(@visit, @gate, screen, data)
      body, type = @visit.json? ? [JSON.generate(data), "application/json"] : [view.to_html, "text/html; charset=utf-8"]
      [status, headers(type), @visit.head? ? [] : [body]]
    end

    def redirect(address)
      [303, headers("text/plain").merge("Location" => @visit.at(address)), []]
    end

    def stylesheet
      [200, headers("text/css; charset=utf-8").merge("Cache-Control" => "private, max-age=3600"), [File.read(STYLESHEET)]]
    end

    # No script, no style in the page, no frame around it, nothing from elsewhere; and the address of a user's page goes
    # to no other site.
    POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    private_constant :POLICY

    def headers(type)
      (defined?(Rack::Headers) ? Rack::Headers.new : {}).merge(
        "Content-Type" => type, "Content-Security-Policy" => POLICY, "X-Frame-Options" => "DENY", "X-Content-Type-Options" => "nosniff",
        "Referrer-Policy" => "same-origin", "Cache-Control" => "private, no-store", **@gate.cookie
      )
    end
  end
end
