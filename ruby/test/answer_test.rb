# frozen_string_literal: true

require "test_helper"
require_relative "clients"

# HubSpot's answers in the shapes that Ruby's clients give them.
class AnswerTest < CacheTest
  include Clients

  TIME = Time.utc(2026, 3, 1, 10, 0, 0.25r)
  AGREED = { vid: 901, email_observed: true }.freeze
  LINKED = { vid: 901, email_observed: false }.freeze

  # hubspot-api-client
  SimplePublicObject = Struct.new(:id, :properties, :created_at, :updated_at, :archived, :archived_at, keyword_init: true)
  # hubspot-ruby 0.x, and its unreleased 0.7
  LegacyContact = Struct.new(:vid, :properties, :is_new)
  Resource = Struct.new(:id, :properties, :metadata)
  # hubspot-api-client's search, batch and page; hubspot-ruby's collections
  Search = Struct.new(:total, :results, :paging)
  Batch = Struct.new(:status, :results, :errors, :num_errors, :requested_at, :started_at, :completed_at, :links)
  BatchError = Struct.new(:status, :category, :message, :context, :errors, :links, :id, :sub_category)
  Page = Struct.new(:results, :paging)
  Collection = Struct.new(:resources, :more?)
  Upserted = Struct.new(:id, :properties, :created_at, :updated_at, :archived, :new)

  # HTTP 400, of an email that another contact holds.
  HELD = '{"status":"error","message":"Cannot set PropertyValueCoordinates{portalId=62515, propertyName=email, value=ann@shop.test} on 901. ' \
         '902 already has that value.","category":"VALIDATION_ERROR"}'

  def fields
    { "id" => "901", "properties" => { "email" => EMAIL }, "updatedAt" => "2026-03-01T10:00:00.250Z" }
  end

  def assert_taken(expected, answer)
    assert_equal expected, cache.record(1, answer).to_h.slice(:vid, :email_observed), answer.class
    assert_equal expected[:email_observed], cache.decide(1, EMAIL).agreed?, answer.class
  end

  test "hashes with either kind of key and of either spelling" do
    assert_taken AGREED, fields
    assert_taken AGREED, fields.transform_keys(&:to_sym)
    assert_taken AGREED, { id: "901", properties: { email: EMAIL }, updated_at: TIME, created_at: TIME }
    assert_taken AGREED, { "vid" => 901, properties: { "email" => { value: EMAIL, versions: [{ value: EMAIL, timestamp: 1 }] } } }
    assert_taken AGREED, fields.merge("updatedAt" => DateTime.new(2026, 3, 1, 12, 0, 0, "+2"))
  end

  test "the responses of the usual http clients" do
    body = JSON.generate(fields)
    [net_http(200, body), FaradayResponse.new(200, {}, body), FaradayResponse.new(201, {}, fields),
     TyphoeusResponse.new(200, {}, body), [SimplePublicObject.new(id: "901", properties: { "email" => EMAIL }, updated_at: TIME), 200, {}],
     [fields, 200, {}]].each { |answer| assert_taken AGREED, answer }
  end

  test "the objects of hubspot-api-client and hubspot-sdk" do
    contact = SimplePublicObject.new(id: "901", properties: { "email" => EMAIL }, created_at: TIME, updated_at: TIME, archived: false)
    assert_taken AGREED, contact
    assert_taken AGREED, contact.to_h
    archived = contact.dup.tap { |object| object.archived = true }
    cache.record(1, archived)
    assert_equal :email_unconfirmed, cache.decide(1, EMAIL).reason, "an archived contact holds no email"
  end

  test "the contacts of hubspot-ruby link and confirm nothing since they carry no time" do
    assert_taken LINKED, LegacyContact.new(901, { "email" => EMAIL }, false)
    assert_taken LINKED, Resource.new(901, { "email" => EMAIL }, { "isNew" => false })
    assert_taken LINKED, Resource.new(7, {}, { "canonical-vid" => 901 })
  end

  test "hubspot's errors are errors of one kind whichever client hands them over" do
    refusal = '{"status":"error","message":"Contact already exists. Existing ID: 902","category":"CONFLICT"}'
    missing = '{"status":"error","message":"resource not found ann@shop.test"}'
    failed = '{"status":"error","message":"no such luck, ann@shop.test"}'
    { 404 => [Vidcache::ContactMissing, missing], 409 => [Vidcache::ContactConflict, refusal], 400 => [Vidcache::ContactConflict, HELD],
      429 => [Vidcache::RateLimited, failed], 401 => [Vidcache::HubspotError, failed], 500 => [Vidcache::HubspotError, failed],
      302 => [Vidcache::HubspotError, failed], 502 => [Vidcache::HubspotError, "<html>ann@shop.test</html>"] }.each do |status, (error, body)|
      [net_http(status, body), FaradayResponse.new(status, {}, body), TyphoeusResponse.new(status, {}, body), ApiError.new(status, body),
       RequestError.new(TyphoeusResponse.new(status, {}, body)), RequestError.new({ status: status, headers: {}, body: body }),
       [body, status, {}]].each do |answer|
        raised = assert_raises(error, answer.class) { cache.record(1, answer) }
        assert_names_no_email raised.full_message(highlight: false).lines.first
      end
    end
    assert_raises(Vidcache::HubspotError) { cache.record(1, ApiError.new(0, nil)) } # No answer at all.
    assert_nil cache.resolve(1), "nothing was written"
  end

  test "an error says which contact and how long as far as hubspot does" do
    refusal = '{"status":"error","message":"Contact already exists. Existing ID: 902","category":"CONFLICT"}'
    assert_equal 902, assert_raises(Vidcache::ContactConflict) { cache.record(1, ApiError.new(409, refusal)) }.vid
    assert_equal 902, assert_raises(Vidcache::ContactConflict) { cache.record(1, refusal) }.vid
    assert_equal 902, assert_raises(Vidcache::ContactConflict) { cache.record(1, FaradayResponse.new(409, {}, JSON.parse(refusal))) }.vid
    assert_equal 902, assert_raises(Vidcache::ContactConflict) { cache.observe(ApiError.new(409, refusal)) }.vid
    assert_equal 902, assert_raises(Vidcache::ContactConflict) { cache.record(1, ApiError.new(400, HELD)) }.vid
    limit = '{"status":"error","policyName":"TEN_SECONDLY_ROLLING"}'
    assert_equal 10.0, assert_raises(Vidcache::RateLimited) { cache.record(1, ApiError.new(429, limit)) }.retry_after
    assert_equal 3.0, assert_raises(Vidcache::RateLimited) { cache.record(1, ApiError.new(429, limit, "Retry-After" => "3")) }.retry_after
    assert_equal 503, assert_raises(Vidcache::HubspotError) { cache.record(1, ApiError.new(503, nil)) }.status
    cache.link(7, 901)
    assert_equal 901, assert_raises(Vidcache::VidTaken) { cache.link(8, 901) }.vid
  end

  test "a contact that is gone is named no more whichever client says so, if HubSpot does" do
    gone = '{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}'
    [ApiError.new(404, gone), net_http(404, gone), FaradayResponse.new(404, {}, JSON.parse(gone)), [gone, 404, {}],
     RequestError.new(TyphoeusResponse.new(404, {}, gone)), RequestError.new({ status: 404, body: gone })].each_with_index do |answer, user|
      cache.record(user, answer(901 + user))
      path = '{"status":"error","message":"Unable to infer object type from: contactz","category":"OBJECT_NOT_FOUND"}'
      ["<h1>Not Found</h1>", '{"id":"5"}', "", nil, "[]", "[" * 200, "\xFF", { "id" => "\xFF" }, path].each do |proxy|
        assert_equal 404, assert_raises(Vidcache::HubspotError) { cache.record(user, ApiError.new(404, proxy)) }.status
        assert_nil assert_raises(Vidcache::ContactConflict) { cache.record(user, ApiError.new(409, proxy)) }.vid
      end
      assert_predicate cache.decide(user, EMAIL), :agreed?, "a proxy is not HubSpot"
      error = assert_raises(Vidcache::ContactMissing) { cache.record(user, answer) }
      assert_nil error.cause
      assert_equal [:email_unconfirmed, 901 + user], cache.decide(user, EMAIL).to_h.values_at(:reason, :id)
    end
  end

  test "what is in the way of writing that down is raised" do
    gone = '{"status":"error","message":"resource not found"}'
    assert_raises(Vidcache::InvalidUserKey) { cache.record("", ApiError.new(404, gone)) }
    cache.close
    assert_raises(Vidcache::Closed) { cache.record(1, ApiError.new(404, gone)) }
  end

  test "how long to wait is understood however the header is spelt" do
    { { "Retry-After" => "12" } => 12.0, { "retry-after" => ["1.5"] } => 1.5, { "RETRY-AFTER": 3 } => 3.0, {} => nil,
      { "Retry-After" => "-1" } => nil, { "Retry-After" => "soon" } => nil, nil => nil }.each do |headers, seconds|
      error = assert_raises(Vidcache::RateLimited) { cache.record(1, ApiError.new(429, "", headers)) }
      assert_equal [seconds], [error.retry_after], headers.inspect
    end
    [423, 477, 503].each do |status|
      error = assert_raises(Vidcache::RateLimited) { cache.record(1, ApiError.new(status, "<html>", "Retry-After" => "60")) }
      assert_in_delta 60, error.retry_after
      assert_equal status, assert_raises(Vidcache::HubspotError) { cache.record(1, ApiError.new(status, "<html>")) }.status
    end
    wait = ->(value) { assert_raises(Vidcache::RateLimited) { cache.record(1, ApiError.new(477, "", "Retry-After" => value)) }.retry_after }
    assert_equal 86_400, wait.call("1e9"), "a day at most"
    assert_in_delta 600, wait.call((Time.now + 600).httpdate), 2
    assert_equal 86_400, wait.call((Time.now + 1_000_000).httpdate)
    assert_equal 0, wait.call((Time.now - 600).httpdate)
    assert_equal 7.0, assert_raises(Vidcache::RateLimited) { cache.record(1, net_http(429, "", "Retry-After" => "7")) }.retry_after
  end

  # Every answer that the fuzzer starts from, whole and cut off, with every status: none is believed for more than it
  # says.
  test "whatever comes with whatever status is an error of ours that tells no email" do
    bodies = Dir[File.expand_path("../../fuzz/corpus/answer/*", __dir__)].map { |file| File.binread(file).force_encoding("UTF-8") }
    assert_operator bodies.size, :>, 25
    bodies += bodies.map { |body| body.byteslice(0, body.bytesize / 2) } + [nil, "", "null", "5"]
    seen = Hash.new(0)
    token = cache.begin_email_change(1)
    bodies.product([200, 207, 302, 400, 401, 403, 404, 409, 423, 429, 477, 500, 502, 503, 504, 521, nil]).each do |body, status|
      cache.record(1, ApiError.new(status, body, [502, 503].include?(status) ? { "Retry-After" => "5" } : {}), change: token)
      assert_operator 200..299, :cover?, status
      token = cache.begin_email_change(1)
    rescue Vidcache::Error => e
      seen[e.class] += 1
      assert_names_no_email e.full_message(highlight: false)
      refute_equal cache.change_outstanding?(1, token), e.is_a?(Vidcache::Refused), "#{e.class}, #{status}: #{body}"
      own = body.to_s.match?(/"status": ?"error"/)
      assert own, "#{e.class}, #{status}: #{body}" if e.is_a?(Vidcache::ContactMissing) || e.is_a?(Vidcache::Refused)
      token = cache.begin_email_change(1) if e.is_a?(Vidcache::Refused)
    end
    expected = [Vidcache::ContactMissing, Vidcache::ContactConflict, Vidcache::Refused, Vidcache::RateLimited, Vidcache::HubspotError,
                Vidcache::InvalidAnswer, Vidcache::AnswerWithoutId, Vidcache::AnswerWithoutEmail]
    assert_empty expected - seen.keys
    assert_empty seen.keys - expected
  end

  test "what hubspot never takes is refused once and ends the change" do
    invalid = '{"status":"error","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"Email address ' \
              'ann@shop.test is invalid\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]","category":"VALIDATION_ERROR"}'
    cache.record(1, fields)
    token = cache.begin_email_change(1)
    error = assert_raises(Vidcache::Refused) { cache.record(1, ApiError.new(400, invalid), change: token) }
    assert_equal [:refused, 207], [error.code, error.code_number]
    assert_names_no_email error.full_message(highlight: false)
    refute cache.change_outstanding?(1, token)
    refute_predicate cache.decide(1, EMAIL), :agreed?, "a call before it may have been carried out"
    assert(cache.explain(1, EMAIL).any? { |sentence| sentence.include?("HubSpot refused the app's email") })
    cache.record(1, fields.merge("updatedAt" => "2100-03-01T10:00:01.000Z"))
    assert_predicate cache.decide(1, EMAIL), :agreed?
  end

  test "a new user's refusal is known until their next change" do
    blocked = '{"status":"error","message":"Property values were not valid","validationResults":[{"isValid":false,"message":' \
              '"email has been GDPR blacklisted","error":"INVALID_EMAIL","name":"email"}]}'
    assert_nil cache.refusal(9)
    assert_raises(Vidcache::Refused) { cache.record(9, ApiError.new(400, blocked)) }
    assert_equal :privacy_deletion, cache.refusal(9)
    cache.begin_email_change(9)
    assert_nil cache.refusal(9)
    cache.forget(9)
    assert_nil cache.refusal(9)
  end

  test "searches, batches, pages, arrays and collections are lists" do
    one = SimplePublicObject.new(id: "901", properties: { "email" => EMAIL, "hs_merged_object_ids" => "51;52" }, updated_at: TIME)
    error = BatchError.new("error", "OBJECT_NOT_FOUND", "ann@shop.test", { "ids" => %w[77 gone@shop.test] })
    [Search.new(1, [one]), [Search.new(1, [one]), 200, {}], Page.new([one]), [one], [one.to_h], Batch.new("COMPLETE", [one]),
     [LegacyContact.new(901)], Collection.new([Resource.new(901, {}, {})]), { "contacts" => [LegacyContact.new(901)], "has-more" => false },
     [one, one, one]].each do |answer|
      assert_equal [901], cache.observe(answer).contacts.uniq, answer.class
      assert_equal 901, cache.record(1, answer).vid unless answer.is_a?(Array) && answer.size == 3 && answer[1] == one
    end
    assert_equal [77], cache.observe(Batch.new("COMPLETE", [one], [error], 1)).missing
    assert_equal [77], cache.observe(Batch.new("COMPLETE", [], [{ category: "OBJECT_NOT_FOUND", context: { ids: [77] } }])).missing
    assert_equal [], cache.observe([]).contacts
    cache.link_shared(5, 51)
    assert_equal 901, cache.resolve(5), "ids that were merged are read"
    [[one, nil], [1], [nil], Search.new(1, nil), Search.new(1, [Object.new])].each do |answer|
      assert_raises(Vidcache::InvalidAnswer) { cache.observe(answer) }
    end
  end

  test "a contact that the call made is told from one that was there" do
    upserted = Upserted.new("902", { "email" => EMAIL }, TIME, TIME, false, true)
    assert_equal true, cache.record(2, upserted).created
    assert_equal true, cache.record(2, [Batch.new("COMPLETE", [upserted]), 201, {}]).created
    assert_equal false, cache.record(2, upserted.dup.tap { |object| object.new = false }).created
    assert_equal true, cache.record(3, LegacyContact.new(903, { "email" => EMAIL }, true)).created
    assert_nil cache.record(3, LegacyContact.new(903)).created
  end

  test "the contacts of hubspot-ruby confirm an email where they say since when" do
    versions = [{ "value" => EMAIL, "timestamp" => 1 }]
    assert_taken AGREED, Resource.new(901, { "email" => { "value" => EMAIL, "versions" => versions } }, {})
    edited = Resource.new(901, { "email" => { "value" => "else@shop.test", "versions" => versions } }, { "isNew" => false })
    refute_predicate cache.record(1, edited), :email_observed?, "since when it holds that one, nobody said"
    cache.record(4, LegacyContact.new(904, { "email" => EMAIL, "hs_merged_object_ids" => "54" }))
    cache.link_shared(5, 54)
    assert_equal 904, cache.resolve(5)
  end

  test "an answer without a body names no contact" do
    [net_http(200, ""), FaradayResponse.new(204, {}, nil), TyphoeusResponse.new(204, {}, ""), [nil, 204, {}]].each do |answer|
      assert_raises(Vidcache::AnswerWithoutId, Vidcache::InvalidAnswer) { cache.record(1, answer) }
    end
  end

  test "whatever else is given is an invalid answer" do
    loud = Object.new
    def loud.to_s = raise("boom")
    cycle = {}.tap { |hash| hash["id"] = hash }
    [nil, 1, 1.5, :x, Object.new, BasicObject, [1, 2], [1, 2, 3], loud, { id: Float::NAN }, { "id" => "\xFF" }, RequestError.new(nil),
     FaradayResponse.new(200, {}, 5)].each do |answer|
      error = assert_raises(Vidcache::Error, answer.class) { cache.record(1, answer) }
      assert_equal Vidcache::InvalidAnswer, error.class
      assert_nil error.cause
    end
    assert_raises(Vidcache::InvalidAnswer, SystemStackError) { cache.record(1, cycle) }
  end

  test "an object that raises is the app's own error" do
    broken = Object.new
    def broken.vid = raise(IOError, "mine")
    assert_raises(IOError) { cache.record(1, broken) }
  end
end
