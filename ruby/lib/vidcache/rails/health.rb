# frozen_string_literal: true

module Vidcache
  # Whether the cache can be asked, as a Rack app for the routes, or for the app's own check:
  #
  #     get "/up/vidcache", to: Vidcache::Health
  #
  # It answers 200 and "ok", or 503 and the error's code. A page that is rendered while this says 503 goes out without
  # tracking code, so an app need not be taken out of service for it.
  module Health
    module_function

    # @return [Symbol, nil] what is wrong: an error's code, +:not_configured+, or nil for nothing
    def problem
      Portals.each { Vidcache.cache.resolve(0) }
      nil
    rescue Error => e
      e.code || :error
    rescue SystemCallError
      :cannot_open
    end

    # @param _env [Hash] a Rack environment
    # @return [Array] a Rack response
    def call(_env)
      problem = self.problem
      [problem ? 503 : 200, { "Content-Type" => "text/plain", "Cache-Control" => "no-store" }, [(problem || "ok").to_s]]
    end
  end
end
