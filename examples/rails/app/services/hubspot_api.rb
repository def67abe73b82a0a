# frozen_string_literal: true

require "json"
require "net/http"

# HubSpot's contacts API, v3: as much of it as a shop needs. Methods return the body of the answer, which goes to
# `Vidcache.cache.record` as it is.
class HubspotApi
  # HubSpot answered with an error, or nobody answered. Has what the library reads errors by, as hubspot-api-client's
  # ApiError has; its message says nothing of the answer, since HubSpot's words quote emails.
  class Error < StandardError
    # @return [Integer, nil] the HTTP status; nil if there was no answer
    attr_reader :code

    # @return [String, nil]
    attr_reader :response_body

    # @return [Hash{String => String}]
    attr_reader :response_headers

    # @param answer [Net::HTTPResponse, nil]
    def initialize(method, answer = nil)
      @code = answer&.code&.to_i
      @response_body = answer&.body
      @response_headers = answer&.each_header.to_h
      super("HubSpot answered #{method} #{CONTACTS} with #{@code || "nothing"}")
    end
  end

  # Seconds. A request that may still be on its way when the job is retried could arrive after the retry's.
  TIMEOUT = 10

  # Emails by which {#upsert} may ask at once.
  BATCH = 100

  CONTACTS = "/crm/v3/objects/contacts"

  # @param url [String] `https://api.hubapi.com`
  # @param token [String] of a private app
  def initialize(url, token)
    @url = URI(url)
    @token = token
  end

  # @param vid [Integer] the contact's id
  # @param email [String]
  # @return [String] JSON of the contact
  # @raise [Error]
  def update(vid, email:)
    call("PATCH", "#{CONTACTS}/#{vid}", properties: { email: email })
  end

  # @return [String] JSON of the contact
  # @raise [Error]
  def create(email:)
    call("POST", CONTACTS, properties: { email: email })
  end

  # @return [String] JSON of the contact, under its present id if it was merged into another
  # @raise [Error]
  def read(vid)
    call("GET", "#{CONTACTS}/#{vid}?properties=email")
  end

  # By a batch of one: an address with an email in it ends up in logs.
  #
  # @return [String, nil] JSON of the contact; nil where there is none
  # @raise [Error]
  def read_by_email(email)
    found = call("POST", "#{CONTACTS}/batch/read", idProperty: "email", inputs: [{ id: email }], properties: %w[email])
    found unless JSON.parse(found)["results"].empty?
  end

  # Creates those contacts that are not there yet.
  #
  # @param emails [Array<String>] at most {BATCH}
  # @return [Array<Hash>] the contacts, in no particular order
  # @raise [Error]
  def upsert(emails)
    inputs = emails.map { |email| { id: email, idProperty: "email", properties: { email: email } } }
    JSON.parse(call("POST", "#{CONTACTS}/batch/upsert", inputs: inputs)).fetch("results")
  end

  private

  def call(method, path, body = nil)
    answer = Net::HTTP.start(@url.host, @url.port, use_ssl: @url.scheme == "https", **timeouts) do |http|
      http.send_request(method, path, body && JSON.generate(body), headers)
    end
    answer.is_a?(Net::HTTPSuccess) ? answer.body : raise(Error.new(method, answer))
  rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::ProtocolError
    raise Error, method
  end

  def timeouts
    { open_timeout: TIMEOUT, read_timeout: TIMEOUT, write_timeout: TIMEOUT, max_retries: 0 }
  end

  def headers
    { "Authorization" => "Bearer #{@token}", "Content-Type" => "application/json", "Accept" => "application/json" }
  end
end
