# frozen_string_literal: true

require "test_helper"

# Each bad input: the right error, with nothing written, and without the input in its message.
class InputTest < CacheTest
  LONG = "ann#{"n" * 245}@shop.test"
  USER_KEYS = [nil, 1.0, 1r, :ann, true, Object.new, ["ann"], { ann: 1 }, "", "ann" * 86, "ann\xFF", "ann\0", "ann\xE9".b,
               2**63, -2**63 - 1, 2**64, "ann\xD8".dup.force_encoding("UTF-16LE"), "ann".dup.force_encoding("UTF-16")].freeze
  VIDS = [nil, 0, -1, 2**63, -2**64, 1.0, 1.5, :ann, "", "0", "-1", "+1", " 1", "1.0", "ann", "9223372036854775808", [901]].freeze
  EMAILS = ["", "ann", "ann.shop.test", "@shop.test", "ann@", LONG, "ann\0@shop.test", "an\nn@shop.test", "an\u0085n@shop.test",
            "ann\xFF@shop.test", "ann\xE9@shop.test".b, :"ann@shop.test", 5, false, ["ann@shop.test"],
            "ann@shop.tes".dup.force_encoding("UTF-16LE") + "\xD8\x00".dup.force_encoding("UTF-16LE"),
            "ann@shop.test".dup.force_encoding("UTF-16")].freeze
  NO_JSON = ["ann@shop.test", "{\"ann", "\0", "[\"ann@shop.test\"]", "5", "null", "[" * 100_000,
             '{"id":"ann@shop.test"}', '{"id":0}', '{"id":"-5"}', '{"id":9223372036854775808}', '{"vid":1.5}', '{"id":null}',
             '{"id":"1","updatedAt":"ann@shop.test"}', '{"vid":1,"properties":{"email":"ann@shop.test"}}', "{\"id\":\"\xFF\"}",
             nil, 5, [5], :ann, true, { id: Float::NAN }, { id: "\xFF" }, { "ann@shop.test" => "ann\xFF" }].freeze
  NO_ID = ["", "SUCCESS", "{}", {}, [], '{"results":[]}', { email: "ann@shop.test" }].freeze
  ERRORS = [{ status: "error", message: "ann@shop.test", category: "ann@shop.test" }, { "status" => "error" }].freeze

  def setup
    super
    cache.record(42, answer(901))
    @token = cache.begin_email_change(42)
    @before = rows
  end

  # Everything is tried before the rows are compared: one look from another process is 0.1 s.
  def teardown
    # That HubSpot said of a conflict is kept, for a person to see.
    plain = ->(dump) { dump.lines.grep_v(/\AINSERT INTO \\?"conflict/).join }
    assert_equal plain.call(@before), plain.call(rows), "something was written"
    super
  end

  def refused(error, &block)
    raised = assert_raises(error, &block)
    assert_equal error, raised.class
    assert_nil raised.cause
    assert_names_no_email(raised.message)
    assert_names_no_email(raised.full_message(highlight: false).lines.first)
    assert_equal Encoding::UTF_8, raised.message.encoding
  end

  test "a user key that is neither integer nor text of 1 to 255 bytes is refused by every method" do
    USER_KEYS.each do |key|
      refused(Vidcache::InvalidUserKey) { cache.resolve(key) }
      refused(Vidcache::InvalidUserKey) { cache.decide(key, EMAIL) }
      refused(Vidcache::InvalidUserKey) { cache.snippet(key, EMAIL) }
      refused(Vidcache::InvalidUserKey) { cache.page_data(key, EMAIL) }
      refused(Vidcache::InvalidUserKey) { cache.record(key, answer(1)) }
      refused(Vidcache::InvalidUserKey) { cache.link(key, 1) }
      refused(Vidcache::InvalidUserKey) { cache.begin_email_change(key) }
      refused(Vidcache::InvalidUserKey) { cache.abandon_email_change(key, @token) }
    end
  end

  test "a vid that is not from 1 to 2^63 - 1 is refused" do
    VIDS.each { |vid| refused(Vidcache::InvalidVid) { cache.link(42, vid) } }
  end

  test "an email that cannot be one is refused" do
    EMAILS.each do |email|
      refused(Vidcache::InvalidEmail) { cache.decide(42, email) }
      refused(Vidcache::InvalidEmail) { cache.snippet(42, email) }
      refused(Vidcache::InvalidEmail) { cache.page_data(42, email) }
    end
  end

  test "an answer that is no JSON or has a wrong type is refused" do
    NO_JSON.each { |answer| refused(Vidcache::InvalidAnswer) { cache.record(42, answer, change: @token) } }
  end

  test "an answer that holds no id is refused" do
    NO_ID.each { |answer| refused(Vidcache::AnswerWithoutId) { cache.record(42, answer, change: @token) } }
  end

  test "an error that says nothing of a contact is refused" do
    ERRORS.each { |answer| refused(Vidcache::HubspotError) { cache.record(42, answer, change: @token) } }
  end

  test "a refusal of HubSpot's is told apart" do
    conflict = '{"status":"error","message":"Contact ann@shop.test exists. Existing ID: 51","category":"CONFLICT"}'
    refused(Vidcache::ContactConflict) { cache.record(42, conflict, change: @token) }
    # Of a user without a contact: the email of one who has one is named no more, see tests/cache_lifecycle.rs.
    refused(Vidcache::ContactMissing) { cache.record(43, {status: "error", message: "resource not found"}) }
    refused(Vidcache::RateLimited) { cache.record(42, {status: "error", policyName: "SECONDLY"}, change: @token) }
  end

  test "an answer without an email and its time finishes no change" do
    ['{"vid":901}', { id: "901", properties: { email: "ann@shop.test" } }, { id: "901", updatedAt: Time.now }].each do |answer|
      refused(Vidcache::AnswerWithoutEmail) { cache.record(42, answer, change: @token) }
    end
  end

  test "a token of the wrong type is an unknown one" do
    refused(Vidcache::UnknownChange) { cache.change_outstanding?(1, "token") }
  end

  test "a token that is unknown or of another user is refused" do
    [0, -1, 1, 2**63, -2**63, 2**64, @token.to_s, 1.5, :ann, false, [@token]].each do |token|
      refused(Vidcache::UnknownChange) { cache.abandon_email_change(42, token) }
      refused(Vidcache::UnknownChange) { cache.record(42, answer(902, second: 9), change: token) }
    end
    refused(Vidcache::UnknownChange) { cache.abandon_email_change(42, nil) }
    refused(Vidcache::ForeignChange) { cache.abandon_email_change(43, @token) }
    refused(Vidcache::ForeignChange) { cache.record(43, answer(902, second: 9), change: @token) }
  end

  test "a contact that is linked to another user is refused" do
    refused(Vidcache::VidTaken) { cache.link(43, 901) }
  end

  test "what HubSpot says of another user's contact is believed though the user is refused" do
    cache.abandon_email_change(42, @token)
    assert_predicate cache.decide(42, EMAIL), :agreed?
    refused(Vidcache::VidTaken) { cache.record(43, answer(901, "bob@shop.test", second: 9)) }
    assert_equal :email_differs, cache.decide(42, EMAIL).reason
    assert_nil cache.resolve(43)
    @before = rows
  end

  test "a nonce or a limit or an age of the wrong type is refused" do
    [5, :ann, ["ann"], "ann\xFF"].each do |nonce|
      refused(Vidcache::InvalidOption) { cache.snippet(42, EMAIL, nonce: nonce) }
      refused(Vidcache::InvalidOption) { cache.signed_out_snippet(nonce: nonce) }
      refused(Vidcache::InvalidOption) { cache.anonymous_snippet(nonce: nonce) }
    end
    [-1, 2**32, 1.0, nil, "1"].each { |limit| refused(Vidcache::InvalidOption) { cache.stale_changes(older_than: 0, limit: limit) } }
    [-1, -0.5, nil, "1", :ann, Float::NAN, Float::INFINITY, 1i].each do |age|
      refused(Vidcache::InvalidOption) { cache.stale_changes(older_than: age) }
    end
  end

  test "a string that changes under the call changes nothing" do
    key = +"user-1"
    thread = Thread.new { 1000.times { key.replace("ann" * rand(1..80)).force_encoding(%w[UTF-8 BINARY UTF-16LE].sample) } }
    1000.times do
      cache.resolve(key)
    rescue Vidcache::InvalidUserKey
      next
    end
    thread.join
  end
end
