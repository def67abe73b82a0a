# frozen_string_literal: true

module Vidcache
  # Whether the cache can be asked, as a Rack app for the routes, or for the app's own check:
  #
  #     get "/up/vidcache", to: Vidcache::Health
  #
  # It answers 200 and "ok", or 503 and the error's code, of each portal that has one where each tenant has its own.
  # A page that is rendered while this says 503 goes out without tracking code, so an app need not be taken out of
  # service for it.
  module Health
    module_function

    # @return [Symbol, nil] what is wrong: an error's code, +:not_configured+, or nil for nothing
    def problem
      problems.first&.last
    end

    # @return [Array<Array(Integer, Symbol)>] each portal in which something is wrong (nil: the app has one), and what
    # @api private
    def problems
      Portals.each { |portal| look&.then { |problem| [portal, problem] } }.compact
    end

    def look
      Vidcache.cache.resolve(0)
      nil
    rescue Error => e
      e.code || :error
    rescue SystemCallError
      :cannot_open
    end

    # @param _env [Hash] a Rack environment
    # @return [Array] a Rack response
    def call(_env)
      found = problems.map { |portal, problem| portal ? "portal #{portal}: #{problem}" : problem.to_s }
      [found.any? ? 503 : 200, { "Content-Type" => "text/plain", "Cache-Control" => "no-store" }, [found.any? ? found.join("\n") : "ok"]]
    end

    private_class_method :look
  end
end
