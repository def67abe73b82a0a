# frozen_string_literal: true

require "cgi"
require "fileutils"
require "json"
require "time"
require "tmpdir"
require "vidcache"

module Vidcache
  # For the tests of an app. Nothing of it is loaded but by `require "vidcache/testing"`.
  #
  #     # test/test_helper.rb                              # spec/rails_helper.rb
  #     class ActiveSupport::TestCase                      RSpec.configure do |config|
  #       include Vidcache::Testing::Minitest                config.include Vidcache::Testing::RSpec
  #     end                                                end
  #
  # Either gives each test a cache of its own, in `vidcache`, and puts it where the app looks (`Vidcache.cache`). Then:
  #
  #     vidcache_confirm(user)                             vidcache_confirm(user)
  #     get "/"                                            get "/"
  #     assert_names_email user.email, response.body       expect(response.body).to name_email(user.email)
  #     user.update!(email: "new@example.test")            user.update!(email: "new@example.test")
  #     get "/"                                            get "/"
  #     assert_names_no_unconfirmed_email response.body    expect(response.body).to name_no_unconfirmed_email
  #
  # A response of JSON does as well, with what `hubspot_tracking_data` gave anywhere in it.
  #
  # The job of `has_vid` works too, and waits for nothing: `perform_enqueued_jobs`, `Sidekiq::Testing.inline!` or
  # `drain_all` tell HubSpot at once, whose contacts are in memory ({Contacts}) unless the job has a client of the app's
  # own:
  #
  #     perform_enqueued_jobs { user.update!(email: "new@example.test") }
  #     assert_equal ["new@example.test"], vidcache_hubspot.emails
  #     get "/" and assert_names_email "new@example.test", response.body
  module Testing
    # The portal of the caches here.
    PORTAL = 62_515

    # A cache in a temporary folder, which goes with it.
    class TemporaryCache
      # @return [Cache]
      attr_reader :cache

      # @param options [Hash] as for {Vidcache.open}
      def initialize(**options)
        @folder = Dir.mktmpdir("vidcache-test-")
        @cache = Vidcache.open(File.join(@folder, "hubspot.vidcache"), portal_id: PORTAL, synchronous: :normal, **options)
      end

      # Closes the cache and removes the folder.
      # @return [void]
      def remove
        @cache.close
        FileUtils.rm_rf(@folder)
      end
    end

    # HubSpot's contacts in memory, for the calls that the job makes. An email is one contact's.
    class Contacts
      # An answer in the shape of Net::HTTP's.
      Answer = Struct.new(:code, :body)
      private_constant :Answer

      def initialize
        @emails = {}
        @next = 900
      end

      # @return [Array<String>] what the contacts hold
      def emails
        @emails.values.compact.sort
      end

      # Makes a contact, or changes what one holds, as somebody inside HubSpot would.
      #
      # @param email [String, nil]
      # @param vid [Integer, nil] nil: a new one
      # @return [Integer] its id
      def add(email, vid: nil)
        (vid || (@next += 1)).tap { |id| @emails[id] = email }
      end

      # @api private
      def call(method, path, body = nil)
        return batch(body) if path.end_with?("/batch/read")

        email = body && (body[:properties] || {})[:email]
        return create(email) if method == "POST"

        vid = path[%r{([^/?]+)(?:\?|\z)}, 1].to_i
        return refuse(404, "OBJECT_NOT_FOUND", "resource not found") unless @emails.key?(vid)
        return contact(vid) unless method == "PATCH"

        taken?(email, vid) ? conflict : contact(add(email, vid: vid))
      end

      private

      def batch(body)
        found = body[:inputs].filter_map do |input|
          vid = body[:idProperty] == "email" ? @emails.key(input[:id]) : input[:id].to_i
          fields(vid) if @emails.key?(vid)
        end
        Answer.new("200", JSON.generate(status: "COMPLETE", results: found))
      end

      def create(email)
        taken?(email) ? conflict : contact(add(email))
      end

      def taken?(email, vid = nil)
        !email.nil? && @emails.any? { |other, held| other != vid && held.to_s.casecmp?(email) }
      end

      def conflict
        refuse(409, "CONFLICT", "Contact already exists.")
      end

      def contact(vid)
        Answer.new("200", JSON.generate(fields(vid)))
      end

      def fields(vid)
        { id: vid.to_s, properties: { email: @emails[vid] }, updatedAt: Time.now.utc.iso8601(3), archived: false }
      end

      def refuse(status, category, message)
        Answer.new(status.to_s, JSON.generate(status: "error", category: category, message: message))
      end
    end

    # What a page says to HubSpot, found in its HTML, or in JSON that it asks for.
    class Page
      # @param html [String] or JSON
      def initialize(html)
        @texts = []
        @data = []
        take(JSON.parse(html.to_s))
      rescue JSON::ParserError
        @texts = [html.to_s]
      end

      # @return [Array<String>] the emails that the page identifies its visitor by, whoever wrote the script: in
      #   vidcache's data, and in any `_hsq` call to `identify`
      def emails
        scripts = @texts.flat_map { |text| text.scan(%r{<script\b[^>]*>(.*?)</script>}mi).flatten }
        found = @data.filter_map { |data| data["email"] } + scripts.flat_map { |script| own(script) || others(script) }
        found.map { |email| email.strip.downcase }.uniq
      end

      # @return [Integer, nil] the contact id that vidcache's script gives
      def id
        given = @data.map { |data| data["id"] } + @texts.map { |text| text[/\(window,document,\{[^<]*?"id":"(vid:\d+)"/, 1] }
        given.compact.first&.delete_prefix("vid:")&.to_i
      end

      private

      # Of JSON: what `hubspot_tracking_data` gave, wherever it stands, and HTML that is put into the page.
      def take(value)
        case value
        when String then @texts << value
        when Array then value.each { |inner| take(inner) }
        when Hash
          @data << value if value.key?("at") && value.key?("ttl")
          take(value.values)
        end
      end

      def own(script)
        data = script[/\(window,document,(\{.*\})\);\s*\z/m, 1] or return
        [JSON.parse(data)["email"]].compact
      rescue JSON::ParserError
        nil
      end

      # Quoted in any way, and escaped as JSON or HTML.
      def others(script)
        return [] unless script.match?(/identify/)

        script.scan(/["']?email["']?\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')/).map do |double, single|
          CGI.unescapeHTML((double || single).gsub(/\\u(\h{4})/) { [Regexp.last_match(1).hex].pack("U") }.gsub(/\\(.)/, '\1'))
        end
      end
    end

    # What both frameworks' modules have.
    module Support
      # @return [Cache] of this test alone
      def vidcache
        @vidcache_temporary ||= TemporaryCache.new
        @vidcache_temporary.cache
      end

      # @return [Contacts] HubSpot's, of this test alone
      def vidcache_hubspot
        @vidcache_hubspot ||= Contacts.new
      end

      # Says that HubSpot holds this email for the user, as if it had just answered so.
      #
      # @param user [Vidcache::Model, Integer, String] a model with `has_vid`, or a user key
      # @param email [String, nil] nil: the model's own
      # @param vid [Integer] of the contact
      # @return [Recorded]
      def vidcache_confirm(user, email: nil, vid: nil)
        key = vidcache_key_of(user)
        email ||= user.vidcache_email
        vid = vidcache_hubspot.add(email, vid: vid || vidcache.resolve(key))
        sleep 0.002 # The clock of the file counts milliseconds.
        changes = vidcache.stale_changes(older_than: 0).select { |change| change.user_id == key.to_s }
        vidcache_users << key
        answer = { id: vid, properties: { email: email }, updatedAt: Time.now }
        changes.each { |change| vidcache.record(key, answer, change: change.token) }
        vidcache.record(key, answer)
      end

      # The emails that the page names although app and HubSpot do not agree on them.
      #
      # @param html [String]
      # @param user [Vidcache::Model, Integer, String, nil] whose page it is; nil for any whom {#vidcache_confirm} was
      #   called for
      # @return [Array<String>]
      def vidcache_unconfirmed(html, user = nil)
        keys = user.nil? ? vidcache_users : [vidcache_key_of(user)]
        Page.new(html).emails.reject { |email| keys.any? { |key| vidcache_agreed?(key, email) } }
      end

      # @api private
      def vidcache_start
        return unless Vidcache.respond_to?(:cache=)

        Vidcache.cache = vidcache
        Vidcache.tests_jobs(vidcache_hubspot)
      end

      # @api private
      def vidcache_stop
        if Vidcache.respond_to?(:cache=)
          Vidcache.tests_jobs(nil)
          Vidcache.cache = nil
        end
        @vidcache_hubspot = nil
        @vidcache_temporary&.remove
        @vidcache_temporary = nil
      end

      private

      def vidcache_key_of(user)
        user.respond_to?(:vidcache_key) ? user.vidcache_key : user
      end

      def vidcache_users
        @vidcache_users ||= []
      end

      def vidcache_agreed?(key, email)
        vidcache.decide(key, email).agreed?
      rescue InvalidEmail
        false
      end
    end

    # For Minitest, and so for Rails' own test cases.
    module Minitest
      include Support

      # @api private
      def before_setup
        super
        vidcache_start
      end

      # @api private
      def after_teardown
        vidcache_stop
        super
      end

      # @param email [String]
      # @param html [String] a page
      # @return [true]
      def assert_names_email(email, html)
        found = Page.new(html).emails
        assert_includes found, email.strip.downcase, "the page names #{found.empty? ? "no email" : "another email"}"
      end

      # @param html [String] a page
      # @param user [Vidcache::Model, Integer, String, nil] whose page it is; nil for any whom
      #   {Support#vidcache_confirm} was called for
      # @return [true]
      def assert_names_no_unconfirmed_email(html, user = nil)
        assert_empty vidcache_unconfirmed(html, user), "the page names an email that HubSpot is not known to hold: that makes a duplicate"
      end

      # @param html [String] a page
      # @return [true]
      def assert_names_no_email(html)
        assert_empty Page.new(html).emails, "the page names an email"
      end
    end

    # For RSpec.
    module RSpec
      include Support

      # What `expect` asks.
      # @api private
      Matcher = Struct.new(:description, :check) do
        def matches?(html)
          @found = check.call(html)
          @found == true
        end

        def failure_message
          "expected the page to #{description}, and it names #{@found.inspect}"
        end

        def failure_message_when_negated
          "expected the page not to #{description}"
        end
      end

      # @api private
      def self.included(group)
        return unless group.respond_to?(:before)

        group.before { vidcache_start }
        group.after { vidcache_stop }
      end

      # @param email [String]
      # @return [Matcher]
      def name_email(email)
        Matcher.new("name the email #{email}", ->(html) { Page.new(html).emails.then { |found| found.include?(email.strip.downcase) || found } })
      end

      # @return [Matcher]
      def name_no_email
        Matcher.new("name no email", ->(html) { Page.new(html).emails.then { |found| found.empty? || found } })
      end

      # @param user [Vidcache::Model, Integer, String, nil] whose page it is; nil for any whom
      #   {Support#vidcache_confirm} was called for
      # @return [Matcher]
      def name_no_unconfirmed_email(user = nil)
        check = ->(html) { vidcache_unconfirmed(html, user).then { |found| found.empty? || found } }
        Matcher.new("name no email that HubSpot is not known to hold", check)
      end
    end
  end
end
