# frozen_string_literal: true

require "test_helper"

# Calls that wait for another process: what they let happen meanwhile, and how they end.
class WaitingTest < CacheTest
  def ticks_during
    ticks = 0
    ticker = Thread.new { loop { sleep 0.005; ticks += 1 } }
    yield
    ticks
  ensure
    ticker.kill.join
  end

  def waiting_thread(&block)
    Thread.new(&block).tap { |thread| thread.report_on_exception = false; sleep 0.2 }
  end

  # By what happens and not by how fast: a writer that kept the GVL would have ended, refused, before anybody else
  # moved.
  test "a write that waits lets other threads run and ends when the lock is free" do
    cache = open_cache(busy_timeout: 60)
    cache.link(1, 1)
    locked do |release|
      ticks = Queue.new
      ticker = Thread.new { loop { ticks << sleep(0.001) } }
      writer = waiting_thread { cache.link(1, 2) }
      assert_equal 1, cache.resolve(1), "look-ups do not wait"
      assert_equal ["vid:1", 15.0], [cache.page_data(1, nil)["id"], cache.quiet_period]
      20.times { ticks.pop }
      assert_predicate writer, :alive?
      release.call
      assert writer.join(60)
      ticker.kill.join
      assert_equal 2, cache.resolve(1)
    end
  end

  test "a write that waits for longer than busy_timeout is refused and written nowhere" do
    cache = open_cache(busy_timeout: 0.4)
    before = rows
    locked do
      taken = seconds do
        ticks = ticks_during { assert_raises(Vidcache::Busy) { cache.link(1, 2) } }
        assert_operator ticks, :>, 10
      end
      assert_includes 0.35..3, taken
      assert_raises(Vidcache::Busy) { cache.record(1, answer(1)) }
      assert_raises(Vidcache::Busy) { cache.begin_email_change(1) }
    end
    assert_equal before, rows
  end

  test "a timeout ends a write that waits" do
    cache = open_cache(busy_timeout: 60)
    before = rows
    locked do
      taken = seconds { assert_raises(Timeout::Error) { Timeout.timeout(0.2) { cache.begin_email_change(1) } } }
      assert_operator taken, :<, 5
    end
    assert_equal before, rows
  end

  test "killing a thread ends its write that waits" do
    cache = open_cache(busy_timeout: 60)
    before = rows
    locked do
      ensured = false
      writer = waiting_thread do
        cache.link(1, 2)
      ensure
        ensured = true
      end
      assert writer.kill.join(5)
      assert ensured
      writer = waiting_thread { cache.link(1, 2) }
      writer.raise(IOError, "mine")
      assert_raises(IOError) { writer.join(5) }
    end
    assert_equal before, rows
    cache.link(1, 3)
    assert_equal 3, cache.resolve(1)
  end

  # Up to Ruby 3.2 it depends on them who, if anybody, tells the main thread of a signal.
  OTHER_THREADS = { "none" => "nil", "one that waits too" => "c.link(2, 3)", "one that never pauses" => "loop { 1 + 1 }",
                    "one that sleeps" => "sleep", "one that waits for a program" => "system('sleep 300')" }.freeze

  test "control c ends a program that waits whatever its other threads do" do
    cache
    locked do
      waiting = OTHER_THREADS.map do |name, other|
        # Who starts the tests in the background may have it ignored.
        script = "trap('INT', 'DEFAULT'); $stdout.sync = true; c = Vidcache.open(*ARGV, portal_id: 62515, secret: '#{SECRET}', busy_timeout: 600);" \
                 "Thread.new { #{other} }; sleep 0.1; puts 1; c.link(1, 2)"
        output, input = IO.pipe
        pid = spawn(RbConfig.ruby, "-I#{LIB}", "-rvidcache", "-e", script, path, out: input, err: File::NULL)
        @children << pid
        output.gets
        [name, pid]
      end
      sleep 0.3
      waiting.each do |name, pid|
        Process.kill(:INT, pid)
        _, status = Timeout.timeout(60, nil, "with #{name}") { Process.wait2(pid) }
        assert_equal Signal.list["INT"], status.termsig, name
      end
    end
  end

  test "a signal that is handled ends no write" do
    hits = 0
    previous = trap("USR1") { hits += 1 }
    cache.link(1, 1)
    locked do |release|
      helper = Thread.new do
        5.times { sleep 0.05; Process.kill(:USR1, Process.pid) }
        sleep 0.1
        @hits_while_waiting = hits
        release.call
      end
      assert_nil cache.link(1, 2)
      helper.join
    end
    assert_operator @hits_while_waiting, :>, 0, "the handler ran while the write waited"
    assert_equal 2, cache.resolve(1)
  ensure
    trap("USR1", previous || "DEFAULT")
  end

  test "a wake-up for nothing ends no write" do
    cache.link(1, 1)
    locked do |release|
      writer = waiting_thread { cache.link(1, 2) }
      20.times { writer.wakeup; sleep 0.005 }
      assert_predicate writer, :alive?
      release.call
      writer.join(5)
    end
    assert_equal 2, cache.resolve(1)
  end

  test "an interrupt that is held back neither ends a write nor makes it spin" do
    cache.link(1, 1)
    locked do |release|
      done = false
      writer = waiting_thread do
        Thread.handle_interrupt(IOError => :never) do
          cache.link(1, 2)
          done = true
        end
      end
      cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      writer.raise(IOError, "later")
      sleep 0.5
      assert_operator Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - cpu, :<, 0.4
      assert_predicate writer, :alive?
      release.call
      assert_raises(IOError) { writer.join(5) }
      assert done
    end
    assert_equal 2, cache.resolve(1)
  end

  # After a fork the connections open again when they are needed, here against a process that has the file for itself.
  test "a look-up that has to wait lets other threads run" do
    cache = open_cache(busy_timeout: 1)
    cache.link(1, 1)
    Process.wait(fork { exit!(0) })
    locked("PRAGMA locking_mode=EXCLUSIVE;BEGIN EXCLUSIVE") do |release|
      ticks = ticks_during { assert_raises(Vidcache::Busy) { cache.resolve(1) } }
      assert_operator ticks, :>, 20
      reader = waiting_thread { cache.resolve(1) }
      assert_predicate reader, :alive?
      assert reader.kill.join(5)
      reader = waiting_thread { cache.decide(1, nil).id }
      release.call
      assert_equal 1, reader.value
    end
  end

  test "opening waits too and can be ended" do
    cache.link(1, 1)
    cache.close
    locked("PRAGMA locking_mode=EXCLUSIVE;BEGIN EXCLUSIVE") do |release|
      assert_raises(Timeout::Error) { Timeout.timeout(0.2) { open_cache(busy_timeout: 60) } }
      ticks = ticks_during { assert_raises(Vidcache::Busy) { open_cache(busy_timeout: 0.3) } }
      assert_operator ticks, :>, 5
      opener = waiting_thread { open_cache(busy_timeout: 60).resolve(1) }
      release.call
      assert_equal 1, opener.value
    end
  end

  # As little of a scheduler as Ruby asks for: fibers that sleep, one thread.
  class Reactor
    def initialize
      @sleeping = {}
    end

    def fiber(&block)
      Fiber.new(blocking: false, &block).tap(&:resume)
    end

    def kernel_sleep(seconds = nil)
      @sleeping[Fiber.current] = now + seconds.to_f
      Fiber.yield
    end

    def close
      until @sleeping.empty?
        fiber, due = @sleeping.min_by { |_, at| at }
        Kernel.sleep(due - now) if due > now # In the thread's own fiber, which may block.
        @sleeping.delete(fiber)
        fiber.resume
      end
    end

    def io_wait(*) = raise(NotImplementedError)
    def block(*) = raise(NotImplementedError)
    def unblock(*) = raise(NotImplementedError)

    private

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Who lets the lock go is another fiber of the same thread: a write that stopped the reactor would end as busy.
  test "a write of a fiber that waits lets the other fibers of its scheduler run" do
    cache = open_cache(busy_timeout: 60)
    cache.link(1, 1)
    ended = []
    locked do |release|
      Thread.new do
        Fiber.set_scheduler(Reactor.new)
        Fiber.schedule { cache.link(1, 2); ended << :write }
        Fiber.schedule do
          20.times { sleep 0.001 }
          ended << :others
          Thread.new { release.call }
        end
      end.join(50)
    end
    assert_equal %i[others write], ended
    assert_equal 2, cache.resolve(1)
  end

  test "a write of a fiber that waits for longer than busy_timeout is refused" do
    cache = open_cache(busy_timeout: 0.2)
    error = nil
    locked do
      Thread.new do
        Fiber.set_scheduler(Reactor.new)
        Fiber.schedule { cache.link(1, 2) rescue error = $! } # rubocop:disable Style/RescueModifier
      end.join(50)
      assert_equal [], open_cache(busy_timeout: 0.2).verify
    end
    assert_kind_of Vidcache::Busy, error
  end
end
