# frozen_string_literal: true

module Vidcache
  # The address that a webhook of HubSpot's was signed for: `config.vidcache.webhook_url`, the whole address that is
  # entered at HubSpot.
  #
  # Without it production takes no webhook; elsewhere the address is put together of the request: its `Host`, and the
  # scheme as the app's server or `config.assume_ssl` say. `Forwarded`, `X-Forwarded-Host` and `X-Forwarded-Proto` are
  # read only where `config.vidcache.trust_proxy` is set: say so if the proxy in front of the app sets these itself and
  # lets none of the sender's through.
  #
  # @api private
  module WebhookAddress
    # What an address is made of, but for its query. Whatever else the request says is not repeated.
    UNUSUAL = %r{[^\w.:/\[\]~-]}
    DEFAULT_PORTS = { "http" => ":80", "https" => ":443" }.freeze
    # A name or a number, with its port. Anything else could be another's address, up to where our path begins.
    HOST = /\A[\w.:\[\]-]+\z/
    ADDRESS = %r{\A(?<scheme>[^:/?#]*)://(?<host>[^/?#]*)(?<path>[^?#]*)(?:\?[^#]*)?(?<fragment>#.*)?\z}m
    private_constant :UNUSUAL, :DEFAULT_PORTS, :HOST, :ADDRESS

    module_function

    # What is wrong with `config.vidcache.webhook_url`, if anything is: HubSpot signs what was entered there, to the
    # letter, and any other address refuses every webhook. It is not repeated, since it may have a password in it.
    #
    # @param address [String]
    # @param secure [Boolean] whether `http` will not do
    # @return [String, nil] in words that go on after the setting's name
    def problem(address, secure:)
      return "has a blank, a line's end or a letter in it that no address has: percent-encode it" if address.b.match?(/[^!-~]/n)

      found = ADDRESS.match(address)
      return "has no scheme: the whole address is meant, https://…" unless found && DEFAULT_PORTS.key?(found[:scheme].downcase)
      return "has a user or a password in it, which HubSpot does not send" if found[:host].include?("@")
      return "names no host" unless found[:host].match?(HOST) && !found[:host].start_with?(":")
      return "has a fragment (#…), which nobody is sent" if found[:fragment]
      return "has no path: the whole address is meant, with the path of the route to Vidcache::Webhook" if found[:path].delete("/").empty?

      "is not https, as what HubSpot calls in production has to be" if secure && found[:scheme].downcase != "https"
    end

    # @param env [Hash] a Rack environment
    # @return [String] with its query, as bytes: who sends a request may have put any into it
    def of(env)
      configured = Vidcache.settings.webhook_url&.b
      # HubSpot calls no other query than the one that is entered there.
      return configured if configured&.include?("?")
      # Not as Rails' `mount` has rewritten it.
      return origin(env) + (env["ORIGINAL_FULLPATH"] || Rack::Request.new(env).fullpath).b unless configured

      query = env["QUERY_STRING"].to_s.b
      query.empty? ? configured : "#{configured}?#{query}"
    end

    # @param env [Hash] a Rack environment
    # @return [String] for a log: without its query, and who says so
    def named(env)
      address = of(env)[/\A[^?#]*/n].gsub(UNUSUAL, "?")[0, 200].force_encoding("UTF-8")
      return "#{address}, as config.vidcache.webhook_url says" if Vidcache.settings.webhook_url

      "#{address}, as the request says: set config.vidcache.webhook_url to the one that HubSpot calls"
    end

    def origin(env)
      scheme = (forwarded(env, "proto") if Vidcache.settings.trust_proxy?)
      host = (forwarded(env, "host") if Vidcache.settings.trust_proxy?)
      scheme ||= env["HTTPS"] == "on" ? "https" : env["rack.url_scheme"].to_s
      host ||= env["HTTP_HOST"] || "#{env["SERVER_NAME"]}:#{env["SERVER_PORT"]}"
      # No address that anything was signed for.
      return "unknown://".b unless DEFAULT_PORTS.key?(scheme) && HOST.match?(host.b)

      "#{scheme}://#{host.delete_suffix(DEFAULT_PORTS.fetch(scheme))}".b
    end

    # What the nearest proxy says, which adds its word at the end.
    def forwarded(env, part)
      standard = env["HTTP_FORWARDED"].to_s.b.split(",").last.to_s[/(?:\A|;)\s*#{part}="?([^";\s]+)/i, 1]
      standard || env["HTTP_X_FORWARDED_#{part.upcase}"].to_s.b.split(",").last&.strip.presence
    end

    private_class_method :origin, :forwarded
  end
end
