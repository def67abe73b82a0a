# frozen_string_literal: true

require "test_helper"

class ThreadsTest < CacheTest
  test "threads decide while another writes and none sees half a write" do
    cache.record(1, answer(1, "user-0@shop.test"))
    stop = false
    readers = Array.new(4) do
      Thread.new do
        seen = 0
        until stop
          5.times do |number|
            decision = cache.decide(1, "user-#{number}@shop.test")
            raise "an email without its contact" if decision.agreed? && decision.id != 1
            raise "another email" if decision.email && decision.email != "user-#{number}@shop.test"
            seen += 1
          end
          sleep 0.0005 # or the writer would wait for each reader's turn to end, 0.1 s each
        end
        seen
      end
    end
    100.times do |count|
      token = cache.begin_email_change(1)
      raise "named during a change" if (0..4).any? { |number| cache.decide(1, "user-#{number}@shop.test").agreed? }
      answer = { id: "1", properties: { email: "user-#{count % 5}@shop.test" }, updatedAt: Time.at(1_800_000_000 + count).utc.iso8601(3) }
      cache.record(1, answer, change: token)
      assert_predicate cache.decide(1, "user-#{count % 5}@shop.test"), :agreed?
    end
    stop = true
    readers.each { |reader| assert_operator reader.value, :>, 0 }
  end

  # With the GVL released around each, every look-up would wait for the busy thread's turn to end: 0.1 s.
  test "a thread that never pauses does not make look-ups crawl" do
    cache.record(1, answer(901))
    busy = Thread.new { loop { 1 + 1 } }
    taken = seconds { 2000.times { cache.decide(1, EMAIL) } }
    busy.kill.join
    assert_operator taken, :<, 5, "2000 look-ups took #{taken.round(2)} s"
  end

  # With the GVL released around each, look-ups would get a hundredth of what is fair; bin/bench has the figure itself.
  test "beside three busy threads look-ups keep their share" do
    cache.record(1, answer(901))
    looked_up = lambda do
      count = 0
      stop = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 1
      count += 100.times { cache.decide(1, EMAIL) } while Process.clock_gettime(Process::CLOCK_MONOTONIC) < stop
      count
    end
    alone = looked_up.call
    busy = Array.new(3) { Thread.new { loop { 1 + 1 } } }
    beside = looked_up.call
    busy.each(&:kill).each(&:join)
    assert_operator beside, :>, alone / 4 * 0.2, "#{beside} beside three busy threads, #{alone} alone"
    puts "look-ups beside three busy threads: #{(beside * 4.0 / alone).round(2)} of their share" if ENV["VIDCACHE_FIGURES"]
  end

  test "many threads write and none is lost" do
    cache
    Array.new(4) { |thread| Thread.new { 50.times { |count| cache.link(thread * 50 + count, thread * 50 + count + 1) } } }.each(&:join)
    200.times { |user| assert_equal user + 1, cache.resolve(user) }
  end

  test "threads open and close the same file" do
    cache.link(1, 7)
    Array.new(4) do
      Thread.new do
        20.times do
          own = Vidcache.open(path, portal_id: PORTAL, secret: SECRET)
          raise "wrong" unless own.resolve(1) == 7
          own.close
        end
      end
    end.each(&:join)
    assert_equal 7, cache.resolve(1)
  end

  test "ractors share a cache" do
    cache.record(1, answer(901))
    output = ruby(<<~'RUBY', path, SECRET, options: ["-W0"])
      cache = Vidcache.open(ARGV[0], portal_id: 62515, secret: ARGV[1])
      ractors = Array.new(2) do |number|
        Ractor.new(cache, number) do |cache, number|
          100.times { |count| cache.link("ractor-#{number}", 1000 * (number + 1) + count) }
          begin
            cache.resolve("")
          rescue Vidcache::InvalidUserKey => e
            [cache.decide(1, "ann@shop.test").email, cache.resolve("ractor-#{number}"), e.code]
          end
        end
      end
      p ractors.map(&:take)
    RUBY
    assert_equal %([["ann@shop.test", 1099, :invalid_user_key], ["ann@shop.test", 2099, :invalid_user_key]]\n), output
  end
end
