# frozen_string_literal: true

require_relative "helper"
require "digest"
require "minitest/mock"
require "rack/mock"

class Vidcache::WebhookTest < Vidcache::RailsTest
  CLIENT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"

  def setup
    super
    TestApp.config.vidcache.client_secret = CLIENT_SECRET
    @user = agreed_user
  end

  def teardown
    TestApp.config.vidcache.client_secret = TestApp.config.vidcache.webhook_url = nil
    super
  end

  def test_a_signed_merge_is_taken_in_and_heard
    heard = []
    subscription = ActiveSupport::Notifications.subscribe("webhook.vidcache") { |*, payload| heard << payload }
    body = merge
    assert_equal 204, post(body)
    assert_equal 999, @cache.resolve(@user.id)
    assert_equal 204, post(body)
    assert_equal [{ applied: 1, repeated: 0, ignored: 0 }, { applied: 0, repeated: 1, ignored: 0 }], heard
  ensure
    ActiveSupport::Notifications.unsubscribe(subscription)
  end

  def test_an_email_that_was_changed_in_hubspot_is_no_longer_named
    changed = [{ portalId: 62_515, occurredAt: (Time.now.to_f * 1000).to_i + 60_000, subscriptionType: "contact.propertyChange", objectId: 901,
                 propertyName: "email", propertyValue: "ann@elsewhere.test" }].to_json
    assert_equal 204, post(changed)
    assert_equal :email_differs, reason(@user)
  end

  def test_what_is_not_signed_is_refused_and_reported_without_a_word_of_it
    assert_equal 401, post(merge, secret: "guessed")
    assert_equal 401, post(merge, at: Time.now - 600)
    assert_equal 401, Rack::MockRequest.new(Vidcache::Webhook).post("/hubspot/webhooks", input: merge).status
    assert_equal 901, @cache.resolve(@user.id)
    # One of each reason: another signature, an old one, none.
    assert_equal [Vidcache::InvalidSignature] * 3, @reported.map(&:class)
  end

  def test_who_has_seen_a_delivery_cannot_send_it_again_without_its_v3
    old = merge(at: Time.now - (30 * 86_400))
    seen = older(old, :v1)
    assert_equal 401, send_signed(old, seen)
    assert_equal 401, send_signed(old, older(old, :v2))
    new = merge
    assert_equal 401, send_signed(new, older(new, :v1))
    with_options(webhook_signatures: %w[v3 v1]) do
      assert_equal 401, send_signed(old, seen), "older than HubSpot's retries"
      assert_equal 401, send_signed(new, older(new, :v2)), "not listed"
      assert_equal 204, send_signed(new, older(new, :v1))
      assert_equal 204, post(new), "v3 counts, too"
    end
    assert_raises(ArgumentError) { with_options(webhook_signatures: %w[v4]) { Vidcache.settings.check } }
  end

  def test_what_was_signed_for_another_address_is_not_taken_whatever_the_request_says_of_it
    staging = "https://staging.test/hubspot/webhooks"
    forged = { "HTTP_X_FORWARDED_HOST" => "staging.test", "HTTP_X_FORWARDED_PROTO" => "https", "HTTP_FORWARDED" => "host=staging.test;proto=https" }
    assert_equal 401, post(merge, uri: staging, env: forged)
    with_options(webhook_url: "https://shop.test/hubspot/webhooks") do
      assert_equal 401, post(merge, uri: staging, env: forged.merge("HTTP_HOST" => "staging.test"))
      with_options(trust_proxy: true) { assert_equal 401, post(merge, uri: staging, env: forged) }
      assert_equal 204, post(merge, uri: "https://shop.test/hubspot/webhooks")
    end
  end

  def test_in_production_there_is_no_webhook_whose_address_the_request_says
    Rails.env.stub(:production?, true) do
      own = "http://example.org/hubspot/webhooks"
      assert_equal 503, post(merge, uri: own)
      assert_equal [901, [Vidcache::NotConfigured]], [@cache.resolve(@user.id), @reported.map(&:class)]
      assert_includes logged.join, "config.vidcache.webhook_url is not set, so who sends a webhook would say"
      with_options(trust_proxy: true) { assert_equal 503, post(merge, uri: own) }
      with_options(webhook_url: own) { assert_equal 204, post(merge, uri: own) }
    end
  end

  def test_what_a_trusted_proxy_says_is_believed
    uri = "https://shop.test/hubspot/webhooks?a=b"
    path = "/hubspot/webhooks?a=b"
    with_options(trust_proxy: true) do
      assert_equal 204, post(merge, uri: uri, path: path, env: { "HTTP_X_FORWARDED_PROTO" => "https", "HTTP_X_FORWARDED_HOST" => "shop.test" })
      assert_equal 204, post(merge, uri: uri, path: path, env: { "HTTP_FORWARDED" => %(for=1.2.3.4, For="[::1]";Host="shop.test:443"; proto=https) })
      assert_equal 204, post(merge, uri: uri, path: path, env: { "HTTP_X_FORWARDED_PROTO" => "https", "HTTP_HOST" => "shop.test:443" })
      both = { "HTTP_X_FORWARDED_PROTO" => "http, https", "HTTP_X_FORWARDED_HOST" => "forged.test, shop.test" }
      assert_equal 204, post(merge, uri: uri, path: path, env: both), "the nearest proxy adds its word at the end"
    end
    assert_equal 204, post(merge, uri: "https://example.org/hubspot/webhooks", env: { "HTTPS" => "on", "HTTP_HOST" => "example.org" })
  end

  def test_whatever_a_stranger_puts_into_headers_is_refused_like_any_other_signature
    uri = "https://shop.test/in"
    [{ "QUERY_STRING" => "\xFF=\xFE" }, { "QUERY_STRING" => "\xFF=\xFE".b }, { "HTTP_X_HUBSPOT_SIGNATURE_V3" => "\xFF" },
     { "HTTP_X_HUBSPOT_SIGNATURE_V3" => "eHg=, eHg=" }, { "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP" => "\xFF".b }, { "HTTP_HOST" => "\xFF\xFE.test" },
     { "HTTP_FORWARDED" => "host=\xFF;proto=\xFE" }, { "HTTP_X_FORWARDED_PROTO" => "\xFF" }].each do |env|
      [{ webhook_url: uri }, { trust_proxy: true }].each do |options|
        with_options(**options) { assert_equal 401, post(merge, uri: uri, secret: "guessed", env: env), env }
      end
    end
    # What is no scheme and no host makes no address of another's with our path behind it.
    with_options(trust_proxy: true) do
      [{ "HTTP_X_FORWARDED_PROTO" => "https://staging.test/in?x=" }, { "HTTP_FORWARDED" => "proto=https://staging.test/in?x=" }].each do |forged|
        signed = "https://staging.test/in?x=://shop.test/hubspot/webhooks"
        assert_equal 401, post(merge, uri: signed, env: { "HTTP_HOST" => "shop.test", **forged }), forged
      end
    end
    assert_equal 401, post(merge, uri: "http://staging.test/in?x=/hubspot/webhooks", env: { "HTTP_HOST" => "staging.test/in?x=" })
  end

  def test_a_body_that_ends_too_soon_is_answered_and_reported_to_nobody
    [EOFError.new("bad content body"), IOError.new("closed"), Errno::ECONNRESET.new].each do |error|
      input = Object.new
      input.define_singleton_method(:read) { |*| raise error }
      env = Rack::MockRequest.env_for("/hubspot/webhooks", method: "POST").merge("rack.input" => input)
      assert_equal 400, Vidcache::Webhook.call(env).first, error.class
    end
    assert_empty @reported
  end

  def test_a_401_names_the_address_that_was_assumed_and_no_query
    body = call(merge, older(merge, :v1), "/hubspot/webhooks?email=ann@shop.test").last.join
    assert_includes body, "there is no v3"
    assert_includes body, "The address that was assumed is http://example.org/hubspot/webhooks, as the request says: " \
                          "set config.vidcache.webhook_url to the one that HubSpot calls"
    assert_includes logged.join, "http://example.org/hubspot/webhooks, as the request says"
    with_options(webhook_url: "https://shop.test/in?token=1") do
      assert_includes call(merge, older(merge, :v2)).last.join, "https://shop.test/in, as config.vidcache.webhook_url says"
    end
    call("[]", { "HTTP_HOST" => "ann@shop.test\nforged line", "HTTP_X_HUBSPOT_SIGNATURE" => "x", "HTTP_X_HUBSPOT_SIGNATURE_VERSION" => "v9" })
    refute_match(/^forged|\w@|token/, logged.join)
  end

  def test_a_401_is_counted_and_not_reported_one_by_one
    heard = []
    subscription = ActiveSupport::Notifications.subscribe("refused_webhook.vidcache") { |*, payload| heard << payload }
    50.times { assert_equal 401, send_signed("[]", "HTTP_X_HUBSPOT_SIGNATURE" => "zz") }
    assert_equal 1, @reported.size
    assert_equal [{ status: 401, code: :invalid_signature }] * 50, heard
    TestApp.config.vidcache.client_secret = nil
    2.times { assert_equal 503, post(merge) }
    assert_equal [Vidcache::InvalidSignature, Vidcache::NotConfigured], @reported.map(&:class)

    tally = Vidcache::Failure::Tally.new
    assert_equal [1, nil, nil, 3, nil, 1], [0, 1, 3599, 3600, 3601].map { |at| tally.count(:a, at) } << tally.count(:b, 3601)
  ensure
    ActiveSupport::Notifications.unsubscribe(subscription)
  end

  def test_nobody_who_looks_at_the_request_later_sees_its_body
    body = merge
    env = Rack::MockRequest.env_for("/hubspot/webhooks", { method: "POST", input: body, "CONTENT_TYPE" => "application/json" }
                                                           .merge(older(body, :v1)))
    assert_equal 401, Vidcache::Webhook.call(env).first
    request = ActionDispatch::Request.new(env)
    assert_equal ["", {}], [request.body.read.to_s, request.request_parameters]
  end

  ODD = {
    "has no scheme" => ["shop.test/in", "//shop.test/in", "/in", "ftp://shop.test/in", "https:/shop.test/in"],
    "has a blank" => ["https://shop.test/in out", "https://shop.test/in\nx", "https://shöp.test/in", "https://shop.test/\xFF"],
    "has a user or a password" => ["https://ann:guess-0001@shop.test/in", "https://token@shop.test/in"],
    "names no host" => ["https:///in", "https://:443/in", "https://shop,test/in"],
    "has a fragment" => ["https://shop.test/in#top"],
    "has no path" => ["https://shop.test", "https://shop.test/", "https://shop.test?token=1"],
    "is not https" => ["http://shop.test/in"]
  }.freeze
  private_constant :ODD

  def test_an_odd_webhook_url_is_refused_at_boot_and_not_repeated
    Rails.stub(:env, ActiveSupport::StringInquirer.new("production")) do
      ODD.each do |words, addresses|
        addresses.each do |address|
          with_options(webhook_url: address) do
            said = assert_raises(ArgumentError, address) { Vidcache::Settings.new(TestApp).check }.message
            assert_match(/\Aconfig\.vidcache\.webhook_url #{words}/, said, address)
            refute_match(/guess-0001|token|shop/, said)
          end
        end
      end
      ["https://shop.test/in", " https://shop.test/in \n", "https://shop.test/in?token=1", "HTTPS://[::1]:8443/in"].each do |address|
        with_options(webhook_url: address) { Vidcache::Settings.new(TestApp).check }
      end
    end
    with_options(webhook_url: "http://localhost:3000/in") { Vidcache::Settings.new(TestApp).check }
  end

  def test_a_webhook_url_with_a_query_is_the_whole_address
    with_options(webhook_url: "https://public.test/in?a=1") do
      assert_equal 204, post(merge, uri: "https://public.test/in?a=1", path: "/hubspot/webhooks?a=1")
      assert_equal 204, post(merge, uri: "https://public.test/in?a=1")
    end
    with_options(webhook_url: "https://public.test/in") do
      assert_equal 204, post(merge, uri: "https://public.test/in?b=2", path: "/hubspot/webhooks?b=2")
    end
  end

  def test_a_secret_that_was_read_with_its_line_s_end_is_the_secret
    with_options(client_secret: "#{CLIENT_SECRET}\n") { assert_equal 204, post(merge) }
    TestApp.config.vidcache.client_secret = CLIENT_SECRET
  end

  def test_an_erasure_is_taken_in_although_its_neighbour_cannot_be_read
    broken = { portalId: 62_515, occurredAt: 1, subscriptionType: "contact.deletion", objectId: "ann@shop.test" }
    erased = { portalId: 62_515, occurredAt: 1, subscriptionType: "contact.privacyDeletion", objectId: 901 }
    assert_equal 400, post([broken, erased].to_json)
    assert_nil @cache.resolve(@user.id)
    refute_match(/\w@/, logged.join)
  end

  def test_what_cannot_be_taken_in_says_so
    assert_equal 400, post("no webhook")
    assert_equal 413, post("x" * (Vidcache::Webhook::MAX_BODY + 1))
    assert_equal 405, Rack::MockRequest.new(Vidcache::Webhook).get("/hubspot/webhooks").status
    @cache.close
    assert_equal 503, post(merge)
    TestApp.config.vidcache.client_secret = nil
    assert_equal 503, post(merge)
  end

  # `mount` hands on "/" for a path.
  def test_mounted_it_knows_its_path
    env = { "ORIGINAL_FULLPATH" => "/mounted", "SCRIPT_NAME" => "/mounted" }
    assert_equal 204, post(merge, uri: "http://example.org/mounted", path: "/", env: env)
  end

  private

  def merge(at: Time.now)
    [{ portalId: 62_515, occurredAt: (at.to_f * 1000).to_i, subscriptionType: "contact.merge", objectId: 999, primaryObjectId: 55,
       mergedObjectIds: [901], newObjectId: 999 }].to_json
  end

  # The headers of a delivery that has seen no v3.
  def older(body, version, uri: "http://example.org/hubspot/webhooks")
    signature = Digest::SHA256.hexdigest("#{CLIENT_SECRET}#{"POST#{uri}" if version == :v2}#{body}")
    { "HTTP_X_HUBSPOT_SIGNATURE" => signature, "HTTP_X_HUBSPOT_SIGNATURE_VERSION" => version.to_s }
  end

  # @return [Array<String>] the log without the SQL of the app's own tables
  def logged
    LOG.string.delete("\0").lines.grep_v(/SELECT|INSERT|UPDATE|DELETE|TRANSACTION/)
  end

  # @return [Array] Rack's response
  def call(body, headers, path = "/hubspot/webhooks")
    Vidcache::Webhook.call(Rack::MockRequest.env_for(path, { method: "POST", input: body }.merge(headers)))
  end

  def send_signed(body, headers)
    call(body, headers).first
  end

  def post(body, secret: CLIENT_SECRET, at: Time.now, uri: "http://example.org/hubspot/webhooks", path: "/hubspot/webhooks", env: {})
    timestamp = (at.to_f * 1000).to_i.to_s
    signature = [OpenSSL::HMAC.digest("SHA256", secret, "POST#{uri}#{body}#{timestamp}")].pack("m0")
    headers = { "HTTP_X_HUBSPOT_SIGNATURE_V3" => signature, "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP" => timestamp, input: body }
    Rack::MockRequest.new(Vidcache::Webhook).post(path, headers.merge(env)).status
  end
end
