# frozen_string_literal: true

require "test_helper"
require "yaml"
require "pp" # rubocop:disable Lint/RedundantRequireStatement

class ValuesTest < CacheTest
  test "a decision is frozen and so is all that it holds" do
    cache.record(1, answer(901))
    decision = cache.decide(1, EMAIL)
    assert_predicate decision, :frozen?
    assert_predicate decision.email, :frozen?
    assert_equal Encoding::UTF_8, decision.email.encoding
    assert Ractor.shareable?(decision)
  end

  test "decisions that say the same are equal" do
    cache.record(1, answer(901))
    assert_equal cache.decide(1, EMAIL), cache.decide("1", EMAIL.upcase)
    assert_equal 1, [cache.decide(1, EMAIL), cache.decide(1, EMAIL)].uniq.size
    refute_equal cache.decide(1, EMAIL), cache.decide(1, nil)
    refute_equal cache.decide(1, EMAIL), nil
  end

  test "a decision can be taken apart by its pattern" do
    cache.record(1, answer(901))
    case cache.decide(1, EMAIL)
    in {reason: :agreed, email: String => email, id: Integer => id}
      assert_equal [EMAIL, 901], [email, id]
    end
    case cache.decide(2, EMAIL)
    in {id: nil, email: nil, reason:}
      assert_equal :not_linked, reason
    end
  end

  test "a decision prints without its email" do
    cache.record(1, answer(901))
    decision = cache.decide(1, EMAIL)
    assert_equal "#<Vidcache::Decision agreed id=901>", decision.inspect
    assert_equal "#<Vidcache::Decision not_linked>", cache.decide(2, EMAIL).inspect
    assert_names_no_email("#{decision} #{decision.inspect} #{decision.pretty_inspect} #{[decision].inspect}")
  end

  test "a decision is not dumped, with or without its email" do
    cache.record(1, answer(901))
    [cache.decide(1, EMAIL), cache.decide(2, EMAIL)].each do |decision|
      error = assert_raises(TypeError) { Marshal.dump([decision]) }
      assert_names_no_email(error.message)
      assert_raises(TypeError) { YAML.dump(decision) }
    end
  end

  test "as JSON a decision names no email and gives the id as a page does" do
    cache.record(1, answer(901))
    assert_equal({ "id" => "vid:901", "reason" => "agreed" }, cache.decide(1, EMAIL).as_json)
    assert_equal({ "id" => nil, "reason" => "not_linked" }, cache.decide(2, EMAIL).as_json(only: %w[email]))
    assert_names_no_email(JSON.generate(cache.decide(1, EMAIL)))
  end

  test "what was recorded and what is stale are values too" do
    recorded = cache.record(1, answer(901))
    assert_equal recorded, cache.record(1, answer(901))
    assert_predicate recorded, :frozen?
    recorded => {vid: 901, email_observed: true}

    token = cache.begin_email_change(1)
    sleep 0.002
    stale = cache.stale_changes(older_than: 0).first
    assert_equal stale, cache.stale_changes(older_than: 0).first
    assert_predicate stale, :frozen?
    stale => {user_id: "1", token: ^token, begun_at: Time}
  end
end
