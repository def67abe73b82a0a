# frozen_string_literal: true

require_relative "helper"
require "socket"
require "rack/mock"

# What an error service makes of our failures, jobs, webhooks and calls of HubSpot, by Sentry's own code as Debian has
# it. Honeybadger's is in no Debian.
class Vidcache::ErrorServiceTest < Vidcache::RailsTest
  SENTRY = begin
    verbose = $VERBOSE
    $VERBOSE = nil
    require "sentry-rails"
    require "sentry/rails/active_job"
    # A job of the gem's own, which its engine loads at boot.
    Sentry.const_set(:SendEventJob, Class.new(ActiveJob::Base)) unless Sentry.const_defined?(:SendEventJob)
    true
  rescue LoadError
    false
  ensure
    $VERBOSE = verbose
  end

  EMAIL = /\w(?:@|%40|\\u0040)(?:shop|new|evil)\.test/
  TOKEN = "pat-eu1-0001-secret"
  CLIENT_SECRET = "client-0002-secret"

  # As HubSpot's server answers: the request is kept, and nobody is found.
  class Hubspot
    attr_reader :heard

    def initialize
      @heard = []
      @server = TCPServer.new("127.0.0.1", 0)
      @thread = Thread.new { loop { answer(@server.accept) } }
    end

    def url = "http://127.0.0.1:#{@server.addr[1]}"

    def answer(client)
      head = client.gets("\r\n\r\n")
      body = client.read(head[/content-length: (\d+)/i, 1].to_i)
      heard << [head.lines.first, body]
      json = '{"status":"COMPLETE","results":[],"numErrors":1,"errors":[{"status":"error","category":"OBJECT_NOT_FOUND"}]}'
      client.write("HTTP/1.1 207 Multi-Status\r\nContent-Length: #{json.bytesize}\r\nConnection: close\r\n\r\n#{json}")
    ensure
      client.close
    end

    def close
      @thread.kill.join
      @server.close
    end
  end

  class Job < Vidcache::ContactJob
    prepend Sentry::Rails::ActiveJobExtensions if SENTRY
    rescue_from(StandardError) { |error| raise error } # As with the last try.

    private

    def exclusively(_user) = yield
    def vidcache_early(*) = nil
  end

  def setup
    super
    return skip("ruby-sentry-rails is not installed") unless SENTRY

    @hubspot = Hubspot.new
    @before = { access_token: TOKEN, client_secret: CLIENT_SECRET, api_url: @hubspot.url }
    @before.each { |name, value| TestApp.config.vidcache[name] = value }
    @settings = Vidcache.settings
    Vidcache.settings = nil
    Sentry.init do |config|
      config.dsn = "http://public@sentry.test/1"
      config.transport.transport_class = Sentry::DummyTransport
      config.background_worker_threads = 0
      config.breadcrumbs_logger = %i[active_support_logger http_logger]
      config.traces_sample_rate = 1.0
      config.send_default_pii = true # All that it takes along.
      config.logger = Logger.new(IO::NULL)
      config.rails.skippable_job_adapters = []
    end
    @listener = ActiveSupport::Notifications.subscribe("failure.vidcache") { |*, payload| Sentry.capture_exception(payload[:error]) }
  end

  def teardown
    if SENTRY
      ActiveSupport::Notifications.unsubscribe(@listener)
      Sentry.instance_variable_set(:@main_hub, nil)
      Thread.current.thread_variable_set(Sentry::THREAD_LOCAL, nil)
      @before.each_key { |name| TestApp.config.vidcache.delete(name) }
      Vidcache.settings = @settings
      @hubspot.close
    end
    super
  end

  def test_an_error_of_ours_takes_no_email_and_no_secret_to_an_error_service
    user = agreed_user
    quoting = Class.new(Job) { define_method(:update) { |_, email| raise "HTTP 400 for {\"email\":\"#{email}\"}" } }
    user.update!(email: "ann@new.test")
    token = user.vidcache_change
    assert_raises(Vidcache::Withheld) { quoting.perform_now(user, token) }
    reports { webhook('[{"subscriptionType":"contact.propertyChange","propertyName":"email","propertyValue":"eve@evil.test"') }
    reports { webhook("[]", secret: "guessed") }
    @cache.close
    reports { Class.new { include Vidcache::ViewHelper }.new.send(:hubspot_tracking_tag, user) }
    reports { Vidcache::Failure.report(ArgumentError.new("user ann@shop.test"), during: "a test") }
    assert_tells_nothing
    assert_match(/Withheld/, sent)
  end

  def test_a_trace_of_the_job_s_calls_has_no_email_in_their_addresses
    user = User.create!(email: "ann@shop.test")
    Job.new(user, nil).send(:read_by_email, user.email) # Without a transaction: a breadcrumb.
    Sentry.with_scope do |scope|
      transaction = Sentry.start_transaction(name: "job", op: "test")
      scope.set_span(transaction)
      Job.new(user, nil).send(:read_by_email, user.email)
      transaction.finish
    end
    Sentry.capture_message("a breadcrumb's event")
    assert_equal 2, @hubspot.heard.size
    @hubspot.heard.each do |line, body|
      refute_match(EMAIL, line)
      assert_match(EMAIL, body)
    end
    # The body goes along where the app has said `send_default_pii`; the address always does.
    addresses = sent.scan(%r{http://127[^"\\ ]*})
    refute_empty addresses.grep(/contacts/)
    refute_match(EMAIL, addresses.join(" "))
  end

  private

  def reports
    before = Sentry.get_current_client.transport.events.size
    yield
    assert_operator Sentry.get_current_client.transport.events.size, :>, before
  end

  # @return [String] all that was sent, as it goes over the wire
  def sent
    Sentry.get_current_client.transport.events.map { |event| JSON.generate(event.to_hash) }.join("\n")
  end

  def assert_tells_nothing
    refute_empty sent
    # The lines of this file stand beside its frames.
    text = sent.gsub(/"(?:pre_context|post_context|context_line)":(?:\[.*?\]|".*?(?<!\\)")/, "")
    refute_match(EMAIL, text)
    [TOKEN, CLIENT_SECRET, "0" * 64].each { |secret| refute_includes text, secret }
  end

  def webhook(body, secret: CLIENT_SECRET)
    at = (Time.now.to_f * 1000).to_i.to_s
    uri = "http://example.org/hubspot/webhooks"
    signature = [OpenSSL::HMAC.digest("SHA256", secret, "POST#{uri}#{body}#{at}")].pack("m0")
    env = Rack::MockRequest.env_for(uri, method: "POST", input: body, "HTTP_X_HUBSPOT_SIGNATURE_V3" => signature,
                                         "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP" => at, "CONTENT_TYPE" => "application/json")
    Sentry::Rack::CaptureExceptions.new(Vidcache::Webhook).call(env)
  end
end
