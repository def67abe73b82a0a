# frozen_string_literal: true

require "json"
require "net/http"

# HubSpot's contacts API, v3: as much of it as a shop needs. Methods return the body of the answer, which goes to
# `Vidcache.cache.record` as it is.
class HubspotApi
  # HubSpot answered with an error. Says which, and nothing of the answer: HubSpot's messages quote emails.
  class Error < StandardError
    # @return [Integer, nil] the HTTP status; nil if there was no answer
    attr_reader :status

    def initialize(status, method, path)
      @status = status
      super("HubSpot answered #{method} #{path.sub(/\?.*/, "")} with #{status || "nothing"}")
    end
  end

  # 404: no such contact.
  class NotFound < Error; end
  # 409: another contact has that email.
  class Conflict < Error; end
  # 429, 5xx, or no answer at all: the same request may succeed later.
  class TryLater < Error; end

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
  # @raise [NotFound, Conflict, TryLater, Error]
  def update(vid, email:)
    call("PATCH", "#{CONTACTS}/#{vid}", properties: { email: email })
  end

  # @return [String] JSON of the contact
  # @raise [Conflict, TryLater, Error]
  def create(email:)
    call("POST", CONTACTS, properties: { email: email })
  end

  # @return [String] JSON of the contact, under its present id if it was merged into another
  # @raise [NotFound, TryLater, Error]
  def read(vid)
    call("GET", "#{CONTACTS}/#{vid}?properties=email")
  end

  # @return [String] JSON of the contact
  # @raise [NotFound, TryLater, Error]
  def read_by_email(email)
    call("GET", "#{CONTACTS}/#{URI.encode_www_form_component(email)}?idProperty=email&properties=email")
  end

  # Creates those contacts that are not there yet.
  #
  # @param emails [Array<String>] at most {BATCH}
  # @return [Array<Hash>] the contacts, in no particular order
  # @raise [TryLater, Error]
  def upsert(emails)
    inputs = emails.map { |email| { id: email, idProperty: "email", properties: { email: email } } }
    JSON.parse(call("POST", "#{CONTACTS}/batch/upsert", inputs: inputs)).fetch("results")
  end

  private

  def call(method, path, body = nil)
    answer = Net::HTTP.start(@url.host, @url.port, use_ssl: @url.scheme == "https", **timeouts) do |http|
      http.send_request(method, path, body && JSON.generate(body), headers)
    end
    status = answer.code.to_i
    return answer.body if status.between?(200, 299)

    # The email in read_by_email's path is not for a log.
    raise error_for(status).new(status, method, CONTACTS)
  rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::ProtocolError
    raise TryLater.new(nil, method, CONTACTS)
  end

  def error_for(status)
    case status
    when 404 then NotFound
    when 409 then Conflict
    when 429, 500..599 then TryLater
    else Error
    end
  end

  def timeouts
    { open_timeout: TIMEOUT, read_timeout: TIMEOUT, write_timeout: TIMEOUT, max_retries: 0 }
  end

  def headers
    { "Authorization" => "Bearer #{@token}", "Content-Type" => "application/json", "Accept" => "application/json" }
  end
end
