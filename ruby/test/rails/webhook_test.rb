# frozen_string_literal: true

require_relative "helper"
require "digest"
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
    assert_equal 204, post(merge)
    assert_equal 999, @cache.resolve(@user.id)
    assert_equal 204, post(merge)
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
    assert_equal [Vidcache::InvalidSignature] * 3, @reported.map(&:class)
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

  def test_the_address_is_the_public_one
    env = { "HTTP_X_FORWARDED_PROTO" => "https", "HTTP_X_FORWARDED_HOST" => "shop.test" }
    assert_equal 204, post(merge, uri: "https://shop.test/hubspot/webhooks?a=b", path: "/hubspot/webhooks?a=b", env: env)
    TestApp.config.vidcache.webhook_url = "https://public.test/in"
    assert_equal 204, post(merge, uri: "https://public.test/in")
  end

  # `mount` hands on "/" for a path.
  def test_mounted_it_knows_its_path
    env = { "ORIGINAL_FULLPATH" => "/mounted", "SCRIPT_NAME" => "/mounted" }
    assert_equal 204, post(merge, uri: "http://example.org/mounted", path: "/", env: env)
  end

  private

  def merge
    [{ portalId: 62_515, occurredAt: 1_800_000_000_000, subscriptionType: "contact.merge", objectId: 999, primaryObjectId: 55,
       mergedObjectIds: [901], newObjectId: 999 }].to_json
  end

  def post(body, secret: CLIENT_SECRET, at: Time.now, uri: "http://example.org/hubspot/webhooks", path: "/hubspot/webhooks", env: {})
    timestamp = (at.to_f * 1000).to_i.to_s
    signature = [OpenSSL::HMAC.digest("SHA256", secret, "POST#{uri}#{body}#{timestamp}")].pack("m0")
    headers = { "HTTP_X_HUBSPOT_SIGNATURE_V3" => signature, "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP" => timestamp, input: body }
    Rack::MockRequest.new(Vidcache::Webhook).post(path, headers.merge(env)).status
  end
end
