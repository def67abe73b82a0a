# frozen_string_literal: true

require "json"
require "net/http"
require "openssl"

module Vidcache
  # One call of HubSpot's API, with the app's `access_token`: the job's ({ContactJob::HubspotApi}) and the reader's
  # ({ContactReader}).
  #
  # @api private
  module HubspotHttp
    # Seconds, for each of connecting, writing and reading.
    TIMEOUT = 10

    # What is asked for by name of a contact, since HubSpot leaves it out otherwise: of the second a merge is learnt
    # whose webhook was lost.
    PROPERTIES = %w[email hs_merged_object_ids hs_additional_emails].freeze

    class << self
      # What answers in the place of HubSpot, to `call(method, path, body)`: for tests ({Testing::Contacts}).
      # @return [#call, nil]
      attr_accessor :stand_in
    end

    # @param method [String]
    # @param path [String]
    # @param body [Hash, nil]
    # @return [Net::HTTPResponse]
    # @raise [NotConfigured] no `access_token`
    # @raise [SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::ProtocolError]
    def self.call(method, path, body = nil)
      return stand_in.call(method, path, body) if stand_in

      token = Vidcache.settings.access_token or raise NotConfigured, "config.vidcache.access_token is not set"
      url = URI(Vidcache.settings.api_url || "https://api.hubapi.com")
      headers = { "Authorization" => "Bearer #{token}", "Content-Type" => "application/json" }
      Net::HTTP.start(url.host, url.port, use_ssl: url.scheme == "https", open_timeout: TIMEOUT, read_timeout: TIMEOUT,
                                          write_timeout: TIMEOUT, max_retries: 0) do |http|
        http.send_request(method, path, body && JSON.generate(body), headers)
      end
    end
  end
end
