# frozen_string_literal: true

require "rack/request"
require "rack/utils"
require "stringio"

module Vidcache
  class Web
    # A request of the operators' page, with what it sent taken out of the environment: an email that is looked for is
    # found there by nobody else, neither by services for errors nor by the app's own code.
    #
    # @api private
    class Visit
      # Bytes of a form: a token and a name.
      MAX_FORM = 16_384
      # Bytes of a user's key.
      MAX_KEY = 255
      EMAIL = /\A[^@\s]+@[^@\s]+\.[^@\s]+\z/
      FORMS = %w[rack.request.form_hash rack.request.form_vars rack.request.form_pairs rack.request.form_input
                 action_dispatch.request.request_parameters action_dispatch.request.parameters].freeze
      private_constant :EMAIL, :FORMS

      # @return [Hash] the Rack environment
      attr_reader :env

      def initialize(env)
        @env = env
        @form = post? ? take_form : {}
        @query = Rack::Utils.parse_query(env["QUERY_STRING"].to_s)
      rescue ArgumentError, EncodingError, Rack::QueryParser::InvalidParameterError, Rack::QueryParser::ParamsTooDeepError
        @query = {}
        @form ||= {}
      end

      # @return [Boolean] HEAD is a GET without an answer
      def get?
        %w[GET HEAD].include?(env["REQUEST_METHOD"])
      end

      # @return [Boolean]
      def head?
        env["REQUEST_METHOD"] == "HEAD"
      end

      # @return [Boolean]
      def post?
        env["REQUEST_METHOD"] == "POST"
      end

      # @return [Boolean]
      def json?
        return @query["format"] == "json" if @query["format"]

        env["HTTP_ACCEPT"].to_s.start_with?("application/json")
      end

      # @return [String] after the mount
      def path
        path = env["PATH_INFO"].to_s.chomp("/")
        path.empty? ? "/" : path
      end

      # @param address [String] after the mount
      # @return [String] from the root
      def at(address)
        "#{env["SCRIPT_NAME"]}#{address}"
      end

      # @return [Object] what the app's block is given
      def request
        ActionDispatch::Request.new(env)
      end

      # @param name [String]
      # @return [String, nil] a field of the form, or, of a GET, of the query; in UTF-8, without control characters
      def field(name)
        text = (post? ? @form : @query)[name]
        text = text.first if text.is_a?(Array)
        text = text.to_s.dup.force_encoding(Encoding::UTF_8)
        text if text.valid_encoding? && !text.match?(/[[:cntrl:]]/) && !text.strip.empty?
      end

      # @return [String] the user's key
      # @raise [Stop]
      def user_key
        key = field("key")
        raise Stop.new(400, "Say which user: that is no key.") if key.nil? || key.bytesize > MAX_KEY
        raise Stop.new(400, "That is an email: look for it with the form, so that it stands in no address.") if key.match?(EMAIL)

        key
      end

      # @return [String, nil] the user's key, where there is one
      def user_key?
        user_key
      rescue Stop
        nil
      end

      # @param name [String]
      # @return [Integer] a contact's id
      # @raise [Stop]
      def vid(name)
        text = field(name).to_s.strip.delete_prefix("vid:")
        raise Stop.new(400, "That is no contact's id.") unless text.match?(/\A[1-9]\d{0,18}\z/) && text.to_i < 2**63

        text.to_i
      end

      private

      # Another middleware may have read it (Rack::MethodOverride does): then it is here already.
      def take_form
        return {} if env["CONTENT_LENGTH"].to_i > MAX_FORM

        form = Rack::Request.new(env).POST
        form.select { |_, value| value.is_a?(String) }
      rescue StandardError
        {}
      ensure
        FORMS.each { |name| env.delete(name) }
        env.update("rack.input" => StringIO.new, "CONTENT_LENGTH" => "0")
      end
    end
  end
end
