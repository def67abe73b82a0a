# frozen_string_literal: true

require "test_helper"
require "digest"

class IntakeTest < CacheTest
  SIGNED = { method: "POST", uri: "https://www.example.com/webhook_uri", body: "{'example_field':'example_value'}" }.freeze
  CLIENT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"

  def event(type, **fields)
    { portalId: PORTAL, occurredAt: 1_800_000_000_000, subscriptionType: "contact.#{type}", objectId: 901 }.merge(fields)
  end

  test "what an answer says of contacts is taken in without a user" do
    cache.link(1, 901)
    found = { results: [{ id: "901", properties: { email: EMAIL }, updatedAt: "2026-03-01T10:00:00Z" }] }
    assert_equal({ contacts: [901], missing: [] }, cache.observe(found).to_h)
    assert_predicate cache.decide(1, EMAIL), :agreed?
    assert Ractor.shareable?(cache.observe(found.to_json))
    assert_raises(Vidcache::InvalidAnswer) { cache.observe(nil) }
    assert_raises(Vidcache::ContactMissing) { cache.observe({ status: "error", message: "resource not found" }) }
  end

  test "a webhook moves a user to the contact that theirs was merged into" do
    cache.record(1, answer(901))
    merge = event("merge", objectId: 999, primaryObjectId: 55, mergedObjectIds: [901], newObjectId: 999)
    body = [merge, event("creation", objectId: 7), event("nonsense")].to_json
    assert_equal({ applied: 1, repeated: 0, ignored: 2 }, cache.apply_webhook(body).to_h)
    assert_equal({ applied: 0, repeated: 1, ignored: 2 }, cache.apply_webhook(body).to_h)
    assert_equal 999, cache.resolve(1)
    assert_equal 901, cache.decide(1, EMAIL).id, "the external id is the first vid for ever"
    [nil, 5, "", "{}", "[1]", [event("merge", objectId: "x", newObjectId: "ann@shop.test")].to_json].each do |bad|
      error = assert_raises(Vidcache::InvalidWebhook) { cache.apply_webhook(bad) }
      assert_names_no_email error.message
    end
  end

  test "an answer says whether it was asked for another id and whether it made the contact" do
    merged = { "vid" => 5, "canonical-vid" => 901, "merged-vids" => [5, 901] }
    recorded = cache.record(1, merged)
    assert_equal [901, false, nil], [recorded.vid, recorded.canonical?, recorded.created]
    recorded = cache.record(2, { vid: 7, isNew: true })
    assert_equal [7, true, true], [recorded.vid, recorded.canonical?, recorded.created]
  end

  test "many users at once are answered in their order" do
    cache.record(1, answer(901))
    cache.link("zoe", 2)
    assert_equal [901, nil, 2], cache.resolve_many([1, 2, "zoe"])
    assert_equal [], cache.resolve_many([])
    decisions = cache.decide_many({ 1 => EMAIL, 2 => nil, "zoe" => EMAIL })
    assert_equal %i[agreed not_linked email_unconfirmed], decisions.map(&:reason)
    assert_equal decisions, cache.decide_many([[1, EMAIL], [2, nil], ["zoe", EMAIL]])
    assert_predicate decisions.first.email, :frozen?
    assert_raises(Vidcache::InvalidUserKey) { cache.resolve_many([1, nil]) }
    assert_raises(Vidcache::InvalidUserKey) { cache.decide_many([1]) }
    assert_raises(Vidcache::InvalidEmail) { cache.decide_many({ 1 => "ann" }) }
    assert_raises(TypeError) { cache.resolve_many(1) }
  end

  test "users share a contact only if that is said" do
    cache.link(1, 901)
    assert_raises(Vidcache::VidTaken) { cache.link(2, 901) }
    assert_nil cache.link_shared(2, 901)
    assert_equal [901, 901], cache.resolve_many([1, 2])
  end

  test "a first fill takes any rows and says what it left out" do
    rows = [[1, 901], ["zoe", "902", EMAIL, Time.utc(2026, 3, 1)], [3, 901]]
    assert_equal({ imported: 2, vid_taken: 1 }, cache.import(rows.each).to_h)
    assert_predicate cache.decide("zoe", EMAIL), :agreed?
    assert_equal :email_unconfirmed, cache.decide(1, EMAIL).reason
    assert_equal 25_000, cache.import((10..25_009).lazy.map { |id| [id, id + 10_000] }).imported
    assert_equal 35_009, cache.resolve(25_009)
    assert_raises(Vidcache::InvalidVid) { cache.import([[5, nil]]) }
    assert_raises(Vidcache::InvalidUserKey) { cache.import([nil]) }
    [Time.at(-1), Time.utc(10_000), Time.at(10**30), "2026-03-01", 1_800_000_000, Float::NAN, Object.new].each do |at|
      assert_raises(Vidcache::InvalidAnswer, at.inspect) { cache.import([[6, 906, EMAIL, at]]) }
    end
    assert_nil cache.resolve(6)
    cache.import([[6, 906, EMAIL, DateTime.new(2026, 3, 1)]])
    assert_predicate cache.decide(6, EMAIL), :agreed?
  end

  test "a user is explained exported and forgotten" do
    cache.record(1, answer(901))
    token = cache.begin_email_change(1)
    sentences = cache.explain(1, EMAIL)
    assert_equal "The page gives the id 901 alone: a change of the email is outstanding.", sentences.first
    assert_operator sentences.size, :>, 2
    held = cache.export(1)
    assert_equal Encoding::UTF_8, held.encoding
    assert_kind_of Hash, JSON.parse(held)
    assert_names_no_email("#{sentences} #{held}")
    assert_equal true, cache.forget(1)
    assert_equal false, cache.forget(1)
    assert_nil cache.resolve(1)
    assert_raises(Vidcache::ForeignChange) { cache.change_outstanding?(1, token) }
    [-> { cache.explain(nil, nil) }, -> { cache.export(1.5) }, -> { cache.forget(:ann) }].each do |call|
      assert_raises(Vidcache::InvalidUserKey, &call)
    end
  end

  test "a request of hubspot's is told from any other" do
    at = Time.at(1_700_000_300)
    v3 = { signature_v3: "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=", timestamp: "1700000300000" }
    assert_nil Vidcache.verify_signature(CLIENT_SECRET, **SIGNED, **v3, now: at)
    [{ now: at + 301 }, { now: at - 301 }, { body: "{}" }, { signature_v3: nil }, { signature_v3: 5 }, { timestamp: "\xFF" },
     { uri: "" }].each do |change|
      error = assert_raises(Vidcache::InvalidSignature) do
        Vidcache.verify_signature(CLIENT_SECRET, **SIGNED, **v3, now: at, **change)
      end
      refute_includes error.message, CLIENT_SECRET
    end
    assert_raises(Vidcache::InvalidSignature) { Vidcache.verify_signature("other secret", **SIGNED, **v3, now: at) }
    assert_raises(Vidcache::InvalidOption) { Vidcache.verify_signature("", **SIGNED, **v3, now: at) }
  end

  test "an older signature counts only where it is listed, and for a day" do
    at = Time.at(1_564_113_600)
    body = JSON.generate([{ portalId: 62_515, occurredAt: 1_564_113_600_000, subscriptionType: "contact.creation", objectId: 123 }])
    { v1: body, v2: "POST#{SIGNED[:uri]}#{body}" }.each do |version, text|
      signed = { signature: Digest::SHA256.hexdigest(CLIENT_SECRET + text), version: version.to_s }
      taken = lambda do |now, **listed|
        Vidcache.verify_signature(CLIENT_SECRET, **SIGNED, body: body, **signed, **listed, now: now).nil?
      rescue Vidcache::InvalidSignature
        false
      end
      refute taken.call(at), version
      refute taken.call(at, take_v1: version != :v1, take_v2: version != :v2), version
      assert taken.call(at + 86_400, "take_#{version}": true), version
      refute taken.call(at + (2 * 86_400), "take_#{version}": true), version
    end
  end

  test "a file that will not open is put away" do
    File.write(path, "no database" * 1000)
    assert_raises(Vidcache::NotACache) { open_cache }
    aside = Vidcache.move_aside(path)
    assert_path_exists aside
    refute_path_exists path
    assert_nil cache.resolve(1)
  end

  test "a backup is whole, and is put back while nobody has the file open" do
    backup = "#{path}.backup"
    cache.link(1, 901)
    cache.backup(backup)
    cache.link(2, 902)
    assert_raises(Vidcache::CannotOpen) { cache.backup(backup) }
    assert_raises(Vidcache::Busy) { Vidcache.restore(backup, path) }
    cache.close
    assert_path_exists Vidcache.restore(backup, path)
    restored = open_cache
    assert_equal [901, nil], [restored.resolve(1), restored.resolve(2)]
  end
end
