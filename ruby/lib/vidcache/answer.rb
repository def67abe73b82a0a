# frozen_string_literal: true

require "date"
require "json"

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
  # | `results`, with `errors` | hubspot-api-client's searches, batches and pages |
  # | `vid`, or `id` and `metadata` | hubspot-ruby's contacts. Most carry no time: those link a user and confirm no email |
  # | `resources`, a Hash with `contacts`, an Array of contacts | hubspot-ruby's collections, `get_all` |
  #
  # An error is what HubSpot's own words say, and only the core can read them: that a contact is gone, which it writes
  # down, which contact holds an email, that an email is refused for good. A 404 without them may be a proxy's and says
  # nothing of a contact; a 409 without them is taken for HubSpot's, since all that follows is reading. How long to
  # wait, the header says.
  #
  # @api private
  module Answer
    # What an object of a client's may say of a contact, and what HubSpot calls it.
    FIELDS = { id: "id", properties: "properties", updated_at: "updatedAt", archived: "archived", archived_at: "archivedAt", new: "new" }.freeze

    # What hubspot-ruby keeps of HubSpot's answer beside the properties.
    METADATA = %w[canonical-vid merged-vids identity-profiles portal-id isNew].freeze

    # The properties that the core reads. v1 says with each since when; where a client has left that out, an email says
    # nothing.
    PROPERTIES = %w[email lastmodifieddate hs_additional_emails hs_merged_object_ids hs_calculated_merged_vids hs_all_contact_vids].freeze

    # Statuses that come with how long to wait: 423, being worked on; 477, being moved; 503.
    WAIT = [423, 477, 503].freeze

    # Seconds. HubSpot waits for no longer.
    DAY = 86_400.0
    # A time in UTC, as HubSpot's v3 API writes it. Of the library `time`, which has a method for it, the loading alone
    # takes 3 ms of a process's start.
    MILLISECONDS = "%Y-%m-%dT%H:%M:%S.%LZ"
    private_constant :METADATA, :PROPERTIES, :WAIT, :DAY, :MILLISECONDS

    # HubSpot answered with an error: what it is unless its words say more, and those, JSON whose `status` is `error`.
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
    # @raise [ContactMissing, ContactConflict, Refused, RateLimited, HubspotError] HubSpot answered with an error
    def read(answer)
      said = json(answer)
      return yield said unless said.is_a?(Refusal)

      begin
        yield said.json
      rescue InvalidAnswer, AnswerWithoutId, HubspotError
        nil # The status says more.
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
      elsif speaks?(answer, :results) then list(answer.results, answer)
      elsif speaks?(answer, :resources) then list(answer.resources)
      else
        generate(fields(answer))
      end
    end

    # @return [Hash] one contact, in HubSpot's spelling
    def fields(answer)
      if answer.is_a?(Hash) then spelt(answer)
      elsif speaks?(answer, :vid) then { "vid" => answer.vid, "isNew" => created(answer) }.merge(told(answer)).compact
      elsif speaks?(answer, :id, :metadata) then { "vid" => answer.id }.merge(metadata(answer), told(answer))
      elsif speaks?(answer, :id, :properties) then contact(answer)
      else
        raise InvalidAnswer, "invalid answer: it is neither JSON, a Hash, a response nor a contact"
      end
    end

    # @param batch [Object, nil] what else may say which contacts were not found
    def list(contacts, batch = nil)
      raise InvalidAnswer, "invalid answer: its contacts are no Array" unless contacts.is_a?(Array)

      errors = batch.errors if batch.respond_to?(:errors)
      errors = errors.map { |error| error.is_a?(Hash) ? plain(error) : problem(error) } if errors.is_a?(Array)
      generate({ "results" => contacts.map { |one| fields(one) }, "errors" => errors }.compact)
    end

    def problem(error)
      %i[category context].each_with_object({}) { |name, all| all[name.to_s] = plain(error.public_send(name)) if error.respond_to?(name) }
    end

    # @return [Object, nil] the response that a client's error is about; a connection that failed has none
    def carried(error)
      error.response if error.is_a?(Exception) && speaks?(error, :response)
    end

    def raised(response)
      response.is_a?(Hash) ? response(response[:status], response[:body], response, :headers) : object(response)
    end

    # A response that was taken apart, or contacts.
    def triple(answer)
      data, status, headers = answer
      return list(answer) unless answer.size == 3 && number(status)

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
      seconds = retry_after(headers) if status == 429 || WAIT.include?(status)
      raise RateLimited.new("HubSpot asks to wait", retry_after: seconds) if seconds

      error = case status
              when 409 then ContactConflict.new("HubSpot refused: another contact holds that email already")
              when 429 then RateLimited.new("HubSpot asks to wait")
              else HubspotError.new("HubSpot answered with #{status || "no HTTP status"}", status: status)
              end
      words = error_body(body)
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

    # @return [Float, nil] seconds, however the header is spelt
    def retry_after(headers)
      return headers["Retry-After"]&.then { |value| seconds(value) } unless headers.respond_to?(:each_pair)

      headers.each_pair { |name, value| return seconds(value) if name.to_s.casecmp?("retry-after") }
      nil
    rescue NoMethodError
      nil
    end

    # A number, or a date of HTTP's.
    def seconds(value)
      value = Array(value).first
      seconds = Float(value, exception: false) || (DateTime.httpdate(value.to_s).to_time - Time.now).clamp(0.0, DAY)
      [seconds, DAY].min if seconds.finite? && !seconds.negative?
    rescue ArgumentError
      nil
    end

    def contact(answer)
      FIELDS.each_with_object({}) do |(method, name), fields|
        value = answer.public_send(method) if answer.respond_to?(method)
        fields[name] = plain(value) unless value.nil?
      end
    end

    def created(answer)
      answer.is_new if answer.respond_to?(:is_new)
    end

    def metadata(answer)
      answer.metadata.is_a?(Hash) ? plain(answer.metadata).slice(*METADATA) : {}
    end

    # The properties of a contact of hubspot-ruby's: flat in its releases; as v1 has them after that, where each has a
    # method.
    def told(answer)
      properties = if answer.respond_to?(:properties) then answer.properties
                   elsif answer.respond_to?(:[]) then PROPERTIES.select { |name| answer.respond_to?(name) }.to_h { |name| [name, answer[name]] }
                   end
      return {} unless properties.is_a?(Hash)

      kept = plain(properties).slice(*PROPERTIES).select { |name, value| value.is_a?(Hash) || (value.is_a?(String) && name.start_with?("hs_")) }
      { "properties" => kept }
    end

    # The clients' own spelling counts as HubSpot's, which wins where there are both.
    def spelt(answer)
      plain = answer.to_h { |name, value| [name.to_s, name.to_s == "contacts" ? contacts(value) : plain(value)] }
      FIELDS.each { |method, name| plain[name] = plain.delete(method.to_s) if plain.key?(method.to_s) && !plain.key?(name) }
      plain
    end

    # Objects of hubspot-ruby's, in its Hash of a page.
    def contacts(value)
      value.is_a?(Array) ? value.map { |one| fields(one) } : plain(value)
    end

    def plain(value)
      case value
      when Hash then value.to_h { |name, inner| [name.to_s, plain(inner)] }
      when Array then value.map { |inner| plain(inner) }
      when Time, DateTime then value.to_time.getutc.strftime(MILLISECONDS)
      else value.respond_to?(:utc) && value.respond_to?(:iso8601) ? value.utc.strftime(MILLISECONDS) : value
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
