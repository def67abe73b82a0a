# frozen_string_literal: true

require "test_helper"

# Each in a process of its own: stress and compaction are the whole VM's.
class GcTest < CacheTest
  ROUND = <<~'RUBY'
    # With `json`. This, and the arguments, are there beforehand: only the library's own allocations are of interest.
    require "vidcache/answer"

    def round(path, number, stress: false)
      answer = {id: (900 + number).to_s, properties: {email: "ann@shop.test"}, updatedAt: "2026-03-01T10:00:00Z"}.to_json
      key, email, wide, bad, secret = number.to_s, "Ann@shop.test", "Ann@shop.test".encode("UTF-16LE"), "ann", "thirty-two bytes kept out of it."
      GC.stress = stress
      cache = Vidcache.open(path, portal_id: 62515, secret: secret, synchronous: :normal)
      cache.record(number, answer)
      decision = cache.decide(key, email)
      raise "email" unless decision.email == "ann@shop.test" && decision.id == 900 + number && decision == cache.decide(number, wide)
      token = cache.begin_email_change(number)
      raise "token" unless cache.stale_changes(older_than: 0).all? { |change| change.user_id && change.begun_at }
      cache.abandon_email_change(number, token)
      cache.link("other", number + 1)
      raise "vid" unless cache.resolve("other") == number + 1
      raise "html" unless cache.snippet(number, email, nonce: "x").include?("ann@shop.test")
      raise "data" unless cache.page_data(number, email)["email"] == "ann@shop.test"
      raise "signed out" unless cache.signed_out_page_data["out"] && cache.signed_out_snippet.include?('"out":true')
      begin
        cache.decide(number, bad)
        raise "accepted"
      rescue Vidcache::InvalidEmail
      end
      cache.close if number.odd?
    ensure
      GC.stress = false
    end
  RUBY

  test "the whole API works while the collector runs at every allocation" do
    # Without RubyGems the heap is small, and so is each of the thousands of collections.
    ruby("#{ROUND}; round(ARGV[0], 0); round(ARGV[0], 1, stress: true)", path, options: ["--disable-gems"])
  end

  test "the whole API works while the collector moves every object" do
    ruby(<<~RUBY, path)
      #{ROUND}
      begin
        GC.auto_compact = true
      rescue NotImplementedError
        exit
      end
      kept = Vidcache.open(ARGV[0], portal_id: 62515, secret: "thirty-two bytes kept out of it.")
      10.times do |i|
        round(ARGV[0], i)
        GC.verify_compaction_references(toward: :empty, double_heap: i.zero?)
        raise "kept" unless kept.decide(i, "ann@shop.test").email == "ann@shop.test"
      end
    RUBY
  end

  test "caches that nobody keeps are closed by the collector" do
    output = ruby(<<~RUBY, path)
      files = -> { Dir.children("/proc/self/fd").size }
      200.times do
        Vidcache.open(ARGV[0], portal_id: 62515, secret: "thirty-two bytes kept out of it.").resolve(1)
        GC.start
      end
      p files.call < 50
    RUBY
    assert_equal "true\n", output
  end

  test "a collector that meets a cache which nobody keeps does not wait for another cache's transaction" do
    worst = ruby(<<~RUBY, path)
      now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }
      others = 20.times.map { |n| Vidcache.open("\#{ARGV[0]}-\#{n}", portal_id: 1).tap { |cache| cache.resolve(1) } }
      big = Vidcache.open("\#{ARGV[0]}-big", portal_id: 1)
      rows = 200_000.times.map { |n| ["user \#{n * 2_654_435_761 % 1_000_000_007}", n + 1] }
      # What a collection of that many objects takes by itself.
      alone = 3.times.map { begun = now.call; GC.start; now.call - begun }.max
      import = Thread.new { big.import(rows) }
      worst = 0
      while import.alive?
        others.pop
        begun = now.call
        GC.start
        worst = [worst, now.call - begun].max
        sleep 0.02
      end
      puts (worst * 1000).round, (alone * 1000).round
      # The next call that may wait closes them.
      files = -> { Dir.children("/proc/self/fd").count { |fd| File.readlink("/proc/self/fd/\#{fd}").match?(/-\\d+(-wal|-shm)?\\z/) rescue false } }
      others.clear
      GC.start
      before = files.call
      big.link(1, 900_000_000)
      puts before > files.call
    RUBY
    worst, alone, closed = worst.split
    assert_operator worst.to_i, :<, 200 + (3 * alone.to_i), "ms in one collection"
    assert_equal "true", closed
  end

  test "a million calls take no memory with them" do
    output = ruby(<<~RUBY, path)
      cache = Vidcache.open(ARGV[0], portal_id: 62515, secret: "thirty-two bytes kept out of it.", synchronous: :normal)
      cache.record(1, {id: "901", properties: {email: "ann@shop.test"}, updatedAt: "2026-03-01T10:00:00Z"})
      calls = lambda do |count|
        (count / 6).times do |i|
          cache.decide(1, "ann@shop.test")
          cache.decide("key-\#{i % 100}", "bob@shop.test")
          cache.resolve(1)
          cache.snippet(1, "ann@shop.test", nonce: "x")
          cache.anonymous_snippet
          begin
            cache.decide(1, "ann")
          rescue Vidcache::InvalidEmail
          end
        end
        2_000.times { cache.abandon_email_change(1, cache.begin_email_change(1)) } if count > 100_000
        GC.start
        File.read("/proc/self/status")[/VmRSS:\\s+(\\d+)/, 1].to_i
      end
      calls.call(100_000)
      before = calls.call(100_002)
      puts calls.call(1_000_002) - before
    RUBY
    assert_operator output.to_i, :<, 4096, "kB more after a million calls"
  end
end
