# frozen_string_literal: true

require "test_helper"
require "pathname"

class CacheApiTest < CacheTest
  test "a change of email goes from agreed over careful to agreed" do
    assert_nil cache.resolve(42)
    assert_equal :not_linked, cache.decide(42, EMAIL).reason

    recorded = cache.record(42, answer(901))
    assert_equal 901, recorded.vid
    assert_predicate recorded, :email_observed?
    assert_equal 901, cache.resolve(42)
    decision = cache.decide(42, " Ann@Shop.test ")
    assert_predicate decision, :agreed?
    assert_equal [EMAIL, 901, :agreed], [decision.email, decision.id, decision.reason]

    token = cache.begin_email_change(42)
    assert_kind_of Integer, token
    assert_equal [nil, 901, :change_outstanding], cache.decide(42, "ann@home.test").to_h.values
    assert_equal [nil, 901, :change_outstanding], cache.decide(42, EMAIL).to_h.values

    cache.record(42, answer(901, "ann@home.test", second: 5), change: token)
    assert_equal "ann@home.test", cache.decide(42, "ann@home.test").email
    assert_equal :email_differs, cache.decide(42, EMAIL).reason
    assert_equal :email_absent, cache.decide(42, nil).reason
  end

  test "a link alone names no email" do
    assert_nil cache.link(7, 5)
    assert_equal [nil, 5, :email_unconfirmed], cache.decide(7, EMAIL).to_h.values
    assert_nil cache.link(8, "9223372036854775807")
    assert_equal 2**63 - 1, cache.resolve(8)
    assert_equal 2**63 - 1, cache.decide(8, EMAIL).id
  end

  test "an abandoned change leaves everything as it was" do
    cache.record(42, answer(901))
    token = cache.begin_email_change(42)
    assert_nil cache.abandon_email_change(42, token)
    assert_nil cache.abandon_email_change(42, token)
    assert_predicate cache.decide(42, EMAIL), :agreed?
  end

  test "an integer and its decimal text are one user and a binary string is its text" do
    cache.link(42, 1)
    cache.link("é-7", 2)
    assert_equal 1, cache.resolve("42")
    assert_equal 2, cache.resolve("é-7".b)
    assert_equal 2, cache.resolve("é-7".encode("ISO-8859-1"))
    assert_equal 2, cache.resolve("é-7".encode("UTF-16LE"))
    assert_nil cache.resolve("042")
  end

  test "every user key of the allowed range works" do
    keys = [0, -1, 2**63 - 1, -2**63, 2**62, "x", "x" * 255, "é" * 127, "0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d", "a b\n"]
    keys.each_with_index { |key, index| cache.link(key, index + 1) }
    keys.each_with_index { |key, index| assert_equal index + 1, cache.resolve(key) }
  end

  test "an answer may be text or a hash with string or symbol keys and times" do
    time = Time.utc(2026, 3, 1, 10)
    hashes = [
      { id: "1", properties: { email: EMAIL }, updatedAt: time },
      { "id" => "2", "properties" => { "email" => EMAIL }, "updatedAt" => time.iso8601(3) },
      { "vid" => 3, "properties" => { "email" => { "value" => EMAIL, "versions" => [{ "value" => EMAIL, "timestamp" => 1 }] } } }
    ]
    hashes.each_with_index do |hash, index|
      assert_equal({ vid: index + 1, email_observed: true }, cache.record(index, hash).to_h.slice(:vid, :email_observed))
      assert_predicate cache.decide(index, EMAIL), :agreed?
    end
    assert_equal({ vid: 4, canonical: true, created: true, email_observed: false }, cache.record(9, '{"vid":4,"isNew":true}'.b.freeze).to_h)
  end

  test "an email in another encoding is the same email" do
    cache.record(1, answer(901, "änn@shop.test"))
    ["änn@shop.test", "änn@shop.test".b, "änn@shop.test".encode("ISO-8859-1"), "änn@shop.test".encode("UTF-16BE")].each do |email|
      assert_equal "änn@shop.test", cache.decide(1, email).email, email.encoding
    end
  end

  test "changes that were never finished are listed oldest first" do
    before = Time.now
    tokens = [1, "zoe", "0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d"].map do |user|
      sleep 0.002
      cache.begin_email_change(user)
    end
    sleep 0.002
    stale = cache.stale_changes(older_than: 0)
    assert_equal tokens, stale.map(&:token)
    assert_equal %w[1 zoe 0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d], stale.map(&:user_id)
    assert stale.all? { |change| change.begun_at.between?(before - 0.001, Time.now) }
    assert_equal tokens.first(1), cache.stale_changes(older_than: 0, limit: 1).map(&:token)
    assert_empty cache.stale_changes(older_than: 3600)
    assert_empty cache.stale_changes(older_than: 2**62)
    assert_equal Encoding::UTF_8, stale.first.user_id.encoding

    cache.record(stale.first.user_id, answer(5), change: stale.first.token)
    assert_equal tokens.drop(1), cache.stale_changes(older_than: 0r).map(&:token)
  end

  test "the snippet says what the decision says in UTF-8 with the nonce" do
    cache.record(1, answer(901))
    html = cache.snippet(1, EMAIL, nonce: "n0nce\"<")
    assert_equal Encoding::UTF_8, html.encoding
    assert_includes html, %("id":"vid:901","email":"#{EMAIL}"})
    assert_equal 2, html.scan(' nonce="n0nce&quot;&lt;"').size
    assert_includes html, ' src="//js.hs-scripts.com/62515.js"></script>'
    refute_includes cache.snippet(1, "bob@shop.test"), '"email":'
    refute_includes cache.snippet(1, nil), " nonce="

    html = cache.anonymous_snippet(nonce: "n0nce")
    assert_equal 2, html.scan(' nonce="n0nce"').size
    refute_includes html, '"id":'
    assert_includes cache.anonymous_snippet, "62515.js"
  end

  test "a page of the app's own has the same data as the snippet" do
    cache.record(1, answer(901))
    before = (Time.now.to_r * 1000).floor
    data = cache.page_data("1", EMAIL.upcase)
    assert_equal %w[at ttl id email], data.keys
    assert_equal [10_000, "vid:901", EMAIL], data.values.drop(1)
    assert_includes before..(Time.now.to_r * 1000).floor, data["at"]
    assert_equal JSON.parse(cache.snippet(1, EMAIL)[/\(window,document,(\{.*\})\);/, 1]).except("src", "at"), data.except("at")
    assert_equal({ "ttl" => 10_000, "id" => "vid:901" }, cache.page_data(1, nil).except("at"))
    assert_equal({ "ttl" => 10_000 }, cache.page_data(2, EMAIL).except("at"))
    assert_equal({ "ttl" => 10_000 }, cache.anonymous_page_data.except("at"))
    email = %("ö'</script>\u2028\\"@x.test)
    cache.record(1, answer(901, email, second: 1))
    assert_equal email, cache.page_data(1, email)["email"]
    cache.begin_email_change(1)
    assert_equal %w[at ttl id], cache.page_data(1, email).keys
    cache.link(3, (2**63) - 1)
    assert_equal "vid:9223372036854775807", cache.page_data(3, nil)["id"]
  end

  test "a page after a sign-out says so" do
    html = cache.signed_out_snippet(nonce: "n0nce")
    assert_equal 2, html.scan(' nonce="n0nce"').size
    assert_equal Encoding::UTF_8, html.encoding
    assert_includes html, '"out":true});</script>'
    refute_includes cache.anonymous_snippet, %("out":true)
    refute_includes cache.signed_out_snippet, " nonce="
    assert_equal({ "ttl" => 10_000, "out" => true }, cache.signed_out_page_data.except("at"))
  end

  test "the quiet period is what the longest deadline of any process asks for" do
    assert_in_delta 15, cache.quiet_period
    assert_kind_of Float, cache.quiet_period
    other = open_cache(page_deadline: 0.5)
    assert_in_delta 15, other.quiet_period
    open_cache(page_deadline: 60).close
    assert_equal [65.0, 65.0], [cache.quiet_period, other.quiet_period]
    other.close
    assert_raises(Vidcache::Closed) { other.quiet_period }
    assert_raises(Vidcache::Closed) { other.page_data(1, nil) }
  end

  test "the script for pages of the app's own is a file of the gem" do
    assert_match(/\bexport\b/, File.read(Vidcache.page_script_path))
    assert_match(/\Avar vidcache=/, File.readlines(Vidcache.page_script_path(classic: true))[1])
  end

  test "a snippet goes to the end of a string and says why" do
    cache.record(1, answer(901))
    2.times do
      html = +"<p>Ä</p>"
      assert_equal :agreed, cache.append_snippet(html, 1, EMAIL, nonce: "n0nce")
      assert_predicate html, :valid_encoding?
      without_time = ->(text) { text.gsub(/"at":\d+|v-\d+/, "") }
      assert_equal without_time.call("<p>Ä</p>#{cache.snippet(1, EMAIL, nonce: "n0nce")}"), without_time.call(html)
      reasons = [[1, "bob@shop.test"], [1, nil], [2, EMAIL]].map { |user, email| cache.append_snippet(+"", user, email) }
      assert_equal %i[email_differs email_absent not_linked], reasons
    end
    html = "ä" * 5_000
    3.times { cache.append_snippet(html, 1, EMAIL) }
    assert_equal 3, html.scan(%("email":"#{EMAIL}"})).size
    same = +"1"
    assert_equal :agreed, cache.append_snippet(same, same, EMAIL, nonce: same)
    assert_equal 2, same.scan(' nonce="1"').size
  end

  test "where a snippet cannot go it is not and nothing is left of it" do
    cache.record(1, answer(901))
    assert_raises(FrozenError) { cache.append_snippet("frozen", 1, EMAIL) }
    [[Vidcache::InvalidUserKey, "", EMAIL], [Vidcache::InvalidEmail, 1, "ann"]].each do |error, user, email|
      html = +"as it was"
      assert_raises(error) { cache.append_snippet(html, user, email) }
      assert_equal "as it was", html
    end
    wide = "<p>".encode("UTF-16LE")
    assert_raises(Encoding::CompatibilityError) { cache.append_snippet(wide, 1, EMAIL) }
    binary = "<p>".b
    cache.append_snippet(binary, 1, EMAIL, nonce: "n" * 5_000)
    assert_operator binary.bytesize, :>, 10_000, "a page beyond the room that nearly all have"
  end

  test "a user whose first contact gives another user's id names the email without an id" do
    cache.link(1, 901)
    sleep 0.002
    cache.link_shared(2, 901)
    sleep 0.002
    cache.link(2, 902)
    cache.record(2, answer(902))
    decision = cache.decide(2, EMAIL)
    assert_equal [EMAIL, nil, :agreed], decision.to_h.values
    assert_equal [decision], cache.decide_many(2 => EMAIL).map { |many| Vidcache::Decision.new(EMAIL, many.id, many.reason) }
    assert_includes cache.snippet(2, EMAIL), %("email":"#{EMAIL}")
    refute_includes cache.snippet(2, EMAIL), %("id":)
  end

  test "whatever an email holds it stays inside its string" do
    email = %("o'</script><!--&\u2028\u2029\\"@x.test)
    cache.record(1, answer(901, email))
    assert_equal email, cache.decide(1, email).email
    html = cache.snippet(1, email)
    assert_includes html, <<~'JSON'.strip
      "email":"\u0022o\u0027\u003c/script\u003e\u003c!--\u0026\u2028\u2029\u005c\u0022@x.test"});
    JSON
    assert_equal 2, html.scan("</script>").size
    assert_equal email, JSON.parse(html[/"email":("(?:[^"\\]|\\.)*")/, 1])
  end

  test "the options reach the page" do
    cache = open_cache(Pathname(path), page_deadline: 2.5, loader_host: "js-eu1.hs-scripts.com", synchronous: :normal, busy_timeout: 1)
    assert_includes cache.anonymous_snippet, '"ttl":2500,"src":"//js-eu1.hs-scripts.com/62515.js"'
    assert_equal PORTAL, cache.portal_id
  end

  test "a portal id may be text as an environment variable has it" do
    assert_equal PORTAL, open_cache(portal_id: "62515").portal_id
  end

  test "without a secret the file keeps its own and the next open finds it" do
    open_cache(secret: nil).record(1, answer(901))
    assert_predicate open_cache(secret: nil).decide(1, EMAIL), :agreed?
  end

  test "a secret of any bytes is that secret" do
    secret = (0..255).map(&:chr).join.b
    open_cache(secret: secret).record(1, answer(901))
    assert_predicate open_cache(secret: secret.dup.force_encoding("UTF-16LE")).decide(1, EMAIL), :agreed?
    assert_raises(Vidcache::WrongSecret) { open_cache(secret: secret.reverse) }
  end

  test "a write is seen by another handle and another process as soon as it returned" do
    other = open_cache
    cache.link(1, 5)
    assert_equal 5, other.resolve(1)
    assert_equal "5", ruby("print Vidcache.open(*ARGV, portal_id: 62515, secret: '#{SECRET}').resolve(1)", path)
  end

  test "a closed cache says so and closing again does nothing" do
    refute_predicate cache, :closed?
    assert_nil cache.close
    assert_nil cache.close
    assert_predicate cache, :closed?
    [-> { cache.resolve(1) }, -> { cache.decide(1, nil) }, -> { cache.snippet(1, nil) }, -> { cache.link(1, 1) },
     -> { cache.record(1, answer(1)) }, -> { cache.begin_email_change(1) }, -> { cache.stale_changes(older_than: 0) }].each do |call|
      assert_raises(Vidcache::Closed, &call)
    end
    assert_includes cache.anonymous_snippet, "62515.js"
    assert_equal "#<Vidcache::Cache portal_id=62515 closed>", cache.inspect
  end

  test "the file is made for its owner alone" do
    cache
    assert_equal 0o600, File.stat(path).mode & 0o777
  end

  test "a change is outstanding until it is finished or abandoned" do
    before = Time.now
    first = cache.begin_email_change(1)
    second = cache.begin_email_change(1)
    assert cache.change_outstanding?(1, first)
    assert cache.change_outstanding_since("1", first).between?(before - 0.001, Time.now)
    cache.record(1, answer(901), change: first)
    refute cache.change_outstanding?(1, first)
    assert_nil cache.change_outstanding_since(1, first)
    assert cache.change_outstanding?("1", second)
    assert_raises(Vidcache::ForeignChange) { cache.change_outstanding?(2, second) }
    assert_raises(Vidcache::UnknownChange) { cache.change_outstanding?(1, second ^ 1) }
    assert_raises(Vidcache::ForeignChange) { cache.change_outstanding_since(2, second) }
    assert_raises(Vidcache::UnknownChange) { cache.change_outstanding_since(1, second ^ 1) }
  end

  test "stats count what memory answered and what the file did" do
    cache.link(1, 901)
    10.times { cache.resolve(1) }
    stats = cache.stats
    assert_predicate stats, :frozen?
    assert_equal({ hits: 9, misses: 1, entries: 1, fallback: nil, last_error: nil }, stats.slice(:hits, :misses, :entries, :fallback, :last_error))
    assert_operator stats[:bytes], :<, 1 << 20
    assert_raises(Vidcache::InvalidOption) { open_cache(memory: -1) }
    assert_equal [], cache.verify
  end

  test "a cache cannot be made in any other way" do
    assert_raises(NoMethodError) { Vidcache::Cache.new }
    assert_raises(NoMethodError) { Vidcache::Cache.allocate }
    assert_raises(TypeError) { Class.new(Vidcache::Cache).instance_method(:dup).bind_call(cache) }
    assert_raises(TypeError) { Marshal.dump(cache) }
    assert_raises(NoMethodError) { Vidcache::Cache.native_open }
    assert_predicate cache, :frozen?
  end

  test "an unknown keyword is an argument error as everywhere in Ruby" do
    assert_raises(ArgumentError) { Vidcache.open(path, portal_id: 1, colour: :red) }
    assert_raises(ArgumentError) { Vidcache.open(path) }
    assert_raises(ArgumentError) { cache.snippet(1, nil, once: 1) }
    assert_raises(ArgumentError) { cache.record(1, answer(1), token: 1) }
    assert_raises(ArgumentError) { cache.stale_changes }
    assert_raises(ArgumentError) { cache.decide(1) }
  end

  test "the gem and the core have one version" do
    manifest = File.read(File.expand_path("../../Cargo.toml", __dir__))
    assert_equal manifest[/^version = "(.+)"/, 1], Vidcache::VERSION
  end
end
