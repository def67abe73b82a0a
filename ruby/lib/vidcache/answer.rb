# frozen_string_literal: true

require "json"
require "time"

module Vidcache
  # What HubSpot answered, in whatever form the app's client hands it over, as the JSON that the core reads. By shape
  # and never by class, so that no client is needed:
  #
  # | given | from |
  # | --- | --- |
  # | a String of JSON | anywhere |
  # | a Hash, String or Symbol keys, v1 or v3, Times where HubSpot has text | parsed JSON, a model's `to_hash` |
  # | `status` or `code`, with `body` | Net::HTTP, Faraday, Typhoeus, HTTParty |
  # | `[data, code, headers]` | hubspot-api-client's `..._with_http_info` |
  # | `code`, `response_body`, `response_headers` | hubspot-api-client's ApiError, raised or returned |
  # | an exception with a `response`, or a Hash of one | hubspot-ruby's RequestError, Net::HTTP's `value`, Faraday's `raise_error` |
  # | `id` and `properties`, with `updated_at` | hubspot-api-client's and hubspot-sdk's objects |
  # | `vid`, or `id` and `metadata` | hubspot-ruby's contacts. They carry no time, so they link a user and confirm no email |
  #
  # An error is what its HTTP status says. What HubSpot's words say besides, only the core can read: which contact holds
  # an email, how long a limit lasts, and that a contact is gone, which it writes down.
  #
  # @api private
  module Answer
    # What an object of a client's may say of a contact, and what HubSpot calls it.
    FIELDS = { id: "id", properties: "properties", updated_at: "updatedAt", archived: "archived", archived_at: "archivedAt" }.freeze

    # HubSpot answered with an error: what its status says, and JSON whose `status` is `error`, so that the core takes
    # it for no contact.
    Refusal = Struct.new(:error, :json)
    private_constant :Refusal

    module_function

    # @param error [Exception] that a client raised
    # @return [Boolean] whether it carries what HubSpot answered; if not, nobody did
    def carried_by?(error)
      speaks?(error, :response_body, :code) || !carried(error).nil?
    end

    # @param answer [Object]
    # @yieldparam json [String] for the core
    # @return [Object] what the block returns
    # @raise [InvalidAnswer, AnswerWithoutId] it is nothing of the above, or has no body
    # @raise [ContactMissing, ContactConflict, RateLimited, HubspotError] HubSpot answered with an error
    def read(answer)
      said = json(answer)
      return yield said unless said.is_a?(Refusal)

      begin
        yield said.json
      rescue InvalidAnswer, AnswerWithoutId, ContactMissing, ContactConflict, RateLimited => e
        raise if e.instance_of?(said.error.class)
      end
      raise said.error
    end

    # @param time [Time, DateTime]
    # @return [Integer] since 1970
    # @raise [InvalidAnswer]
    def milliseconds(time)
      time = time.to_time if time.is_a?(DateTime)
      raise InvalidAnswer, "invalid answer: the time of an email is no Time" unless time.is_a?(Time)

      (time.to_r * 1000).floor
    end

    # @return [String, Refusal]
    def json(answer)
      case answer
      when String then answer
      when Hash then generate(spelt(answer))
      when Array then triple(answer)
      else object(answer)
      end
    rescue JSON::JSONError, EncodingError
      # Without the cause: JSON's messages quote what they could not turn into JSON.
      raise InvalidAnswer, "invalid answer: it cannot be turned into JSON", cause: nil
    end

    def object(answer)
      if speaks?(answer, :response_body, :code) then response(answer.code, answer.response_body, answer, :response_headers)
      elsif (response = carried(answer)) then raised(response)
      elsif speaks?(answer, :body, :status) then response(answer.status, answer.body, answer, :headers)
      elsif speaks?(answer, :body, :code) then response(answer.code, answer.body, answer, :headers)
      elsif speaks?(answer, :vid) then generate("vid" => answer.vid)
      elsif speaks?(answer, :id, :metadata) then generate(resource(answer))
      elsif speaks?(answer, :id, :properties) then generate(contact(answer))
      else
        raise InvalidAnswer, "invalid answer: it is neither JSON, a Hash, a response nor a contact"
      end
    end

    # @return [Object, nil] the response that a client's error is about; a connection that failed has none
    def carried(error)
      error.response if error.is_a?(Exception) && speaks?(error, :response)
    end

    def raised(response)
      response.is_a?(Hash) ? response(response[:status], response[:body], response, :headers) : object(response)
    end

    # A response that was taken apart.
    def triple(answer)
      data, status, headers = answer
      raise InvalidAnswer, "invalid answer: an Array has to be of data, status and headers" unless answer.size == 3 && number(status)

      succeeded?(status) && !data.is_a?(String) ? json(data) : response(status, data, { headers: headers || {} }, :headers)
    end

    # @param holder [Object] what `field` has the headers of; Net::HTTP's responses have them themselves
    def response(status, body, holder, field)
      status = number(status)
      return body(body) if succeeded?(status)

      headers = holder.is_a?(Hash) ? holder[field] : (holder.public_send(field) if holder.respond_to?(field))
      refuse(status, body, headers || holder)
    end

    def refuse(status, body, headers)
      error = case status
              when 404 then ContactMissing.new("HubSpot has no such contact")
              when 409 then ContactConflict.new("HubSpot refused: another contact holds that email already")
              when 429 then RateLimited.new("HubSpot's rate limit was reached", retry_after: retry_after(headers))
              else raise HubspotError.new("HubSpot answered with #{status || "no HTTP status"}", status: status)
              end
      # How long to wait, the header says better.
      words = error_body(body) unless error.is_a?(RateLimited) && error.retry_after
      words ? Refusal.new(error, words) : raise(error)
    end

    # @return [String, nil] the body of an error of HubSpot's own, and not of a proxy's
    def error_body(body)
      body = generate(spelt(body)) if body.is_a?(Hash)
      parsed = JSON.parse(body) if body.is_a?(String)
      body if parsed.is_a?(Hash) && parsed["status"] == "error"
    rescue JSON::JSONError, EncodingError
      nil
    end

    def body(body)
      case body
      when Hash then generate(spelt(body))
      when String then body.empty? ? raise(AnswerWithoutId, "the answer names no contact: it has no body") : body
      when nil then raise AnswerWithoutId, "the answer names no contact: it has no body"
      else raise InvalidAnswer, "invalid answer: its body is neither a String nor a Hash"
      end
    end

    # @return [Float, nil] seconds, however the header is spelt; a date is not HubSpot's way
    def retry_after(headers)
      return headers["Retry-After"]&.then { |value| seconds(value) } unless headers.respond_to?(:each_pair)

      headers.each_pair { |name, value| return seconds(value) if name.to_s.casecmp?("retry-after") }
      nil
    rescue NoMethodError
      nil
    end

    def seconds(value)
      value = Float(Array(value).first, exception: false) || -1.0
      value if value.finite? && !value.negative?
    end

    def contact(answer)
      FIELDS.each_with_object({}) do |(method, name), fields|
        value = answer.public_send(method) if answer.respond_to?(method)
        fields[name] = plain(value) unless value.nil?
      end
    end

    def resource(answer)
      metadata = answer.metadata.is_a?(Hash) ? answer.metadata.transform_keys(&:to_s) : {}
      { "vid" => answer.id, "canonical-vid" => metadata["canonical-vid"] }.compact
    end

    # The clients' own spelling counts as HubSpot's, which wins where there are both.
    def spelt(answer)
      plain = answer.to_h { |name, value| [name.to_s, plain(value)] }
      FIELDS.each { |method, name| plain[name] = plain.delete(method.to_s) if plain.key?(method.to_s) && !plain.key?(name) }
      plain
    end

    def plain(value)
      case value
      when Hash then value.to_h { |name, inner| [name.to_s, plain(inner)] }
      when Array then value.map { |inner| plain(inner) }
      when Time, DateTime then value.to_time.getutc.iso8601(3)
      else value.respond_to?(:utc) && value.respond_to?(:iso8601) ? value.utc.iso8601(3) : value
      end
    end

    def generate(fields)
      JSON.generate(fields)
    end

    def number(status)
      status = Integer(status, exception: false)
      status if status&.between?(100, 599)
    end

    def succeeded?(status)
      number(status)&.between?(200, 299)
    end

    def speaks?(answer, *methods)
      methods.all? { |method| answer.respond_to?(method) }
    end

    private_class_method(*(singleton_methods(false) - %i[carried_by? milliseconds read]))
  end
end
