# frozen_string_literal: true

require "net/http"
require "stringio"

# What Ruby's HubSpot and HTTP clients return and raise. The clients themselves are not here: these are doubles of what
# they hand out, with the methods that they have. Their errors quote an email, as real ones can.
module Clients
  # hubspot-api-client's
  class ApiError < StandardError
    attr_reader :code, :response_headers, :response_body

    def initialize(code, body = "{}", headers = {})
      super("Error message: the server returns an error for ann@shop.test")
      @code = code
      @response_body = body
      @response_headers = headers
    end
  end

  # hubspot-ruby's, around HTTParty's response; Faraday's, around a Hash
  class RequestError < StandardError
    attr_reader :response

    def initialize(response)
      super("Response body: ann@shop.test")
      @response = response
    end
  end

  FaradayResponse = Struct.new(:status, :headers, :body)
  # Typhoeus, HTTParty
  TyphoeusResponse = Struct.new(:code, :headers, :body)

  # Net::HTTP itself, from the text that a server sent.
  def net_http(status, body, headers = {})
    text = "HTTP/1.1 #{status} x\r\nContent-Length: #{body.bytesize}\r\n#{headers.map { |pair| "#{pair.join(": ")}\r\n" }.join}\r\n#{body}"
    socket = Net::BufferedIO.new(StringIO.new(text))
    Net::HTTPResponse.read_new(socket).tap { |response| response.reading_body(socket, true) { response.body } }
  end
end
