# frozen_string_literal: true

require "timeout"
require "vidcache/rails/hubspot_http"

module Vidcache
  class ContactJob < ActiveJob::Base
    # How the job speaks with HubSpot: its v3 API (`config.vidcache.api_path` names another version of it), with
    # `config.vidcache.access_token`. An app with a client of its own overrides {#update}, {#create}, {#read} and
    # {#read_by_email}; each returns what the client hands out, or lets its error out: {Cache#record} says which shapes
    # it takes. No call may take longer than {Lease::SECONDS}.
    module HubspotApi
      # Seconds, for a whole call: an answer that trickles in keeps to each of those of {HubspotHttp}.
      CALL = 30

      PROPERTIES = "properties=#{HubspotHttp::PROPERTIES.join(",")}".freeze
      private_constant :PROPERTIES

      private

      # @param vid [Integer]
      # @param email [String, nil]
      # @return [Object] HubSpot's answer
      def update(vid, email)
        hubspot("PATCH", "#{Vidcache.settings.api_path}/#{vid}", properties: { email: email })
      end

      # @param email [String]
      # @return [Object] HubSpot's answer
      def create(email)
        hubspot("POST", Vidcache.settings.api_path, properties: { email: email })
      end

      # @param vid [Integer]
      # @return [Object] HubSpot's answer
      def read(vid)
        hubspot("GET", "#{Vidcache.settings.api_path}/#{vid}?#{PROPERTIES}")
      end

      # By a batch of one, whose email is in the body: who watches calls (a tracer, an error service, a proxy's log)
      # keeps their addresses.
      #
      # @param email [String]
      # @return [Object, nil] HubSpot's answer; nil, as some clients have it: no contact has that email
      def read_by_email(email)
        batch = { idProperty: "email", inputs: [{ id: email }], properties: HubspotHttp::PROPERTIES }
        answer = hubspot("POST", "#{Vidcache.settings.api_path}/batch/read", batch)
        answer unless nobody?(answer)
      end

      # HubSpot says so by a list of none, with an error of the one that is missing.
      def nobody?(answer)
        %w[200 207].include?(answer.code) && JSON.parse(answer.body)["results"] == []
      rescue JSON::ParserError
        false
      end

      # @return [Net::HTTPResponse]
      # @raise [NotConfigured] no `access_token`
      # @raise [Timeout::Error] after {CALL} seconds
      def hubspot(method, path, body = nil)
        Timeout.timeout(CALL) { HubspotHttp.call(method, path, body) }
      end
    end
  end
end
