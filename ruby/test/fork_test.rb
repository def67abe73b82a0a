# frozen_string_literal: true

require "test_helper"

class ForkTest < CacheTest
  # The shared lock that keeps other processes from taking a file in use for one that nobody uses.
  def locks_of(pid)
    inode = File.stat(path).ino
    File.readlines("/proc/locks").grep(/ #{pid} \h+:\h+:#{inode} /)
  end

  test "a cache opened before the fork works in parent and children" do
    cache.record(42, answer(901))
    children = Array.new(3) do |index|
      start_child do
        cache.link("child-#{index}", index + 1)
        [cache.decide(42, EMAIL).email, cache.resolve("child-#{index}")]
      end
    end
    cache.link("parent", 9)
    children.each_with_index do |(pipe, pid), index|
      assert_equal [:returned, [EMAIL, index + 1]], Marshal.load(pipe)
      Process.wait(pid)
      @children.delete(pid)
      assert_equal index + 1, cache.resolve("child-#{index}"), "the parent sees what the child wrote"
    end
    assert_equal 9, in_child { cache.resolve("parent") }
  end

  # As Spring forks: an application server out of the first process, and a process for each command out of that.
  test "a child of a child works while its parents do and after they have closed" do
    cache.record(1, answer(901))
    grandchild = in_child do
      cache.link(2, 902)
      first = start_child { [cache.decide(1, EMAIL).email, cache.resolve(2), cache.link(3, 903), cache.resolve(3)] }
      second = start_child do
        cache.close
        cache.closed?
      end
      found = [first, second].map { |pipe, pid| Marshal.load(pipe).tap { Process.wait(pid) } }
      cache.close
      found
    end
    assert_equal [[:returned, [EMAIL, 902, nil, 903]], [:returned, true]], grandchild
    assert_equal [902, 903], cache.resolve_many([2, 3])
    cache.link(4, 904)
    assert_equal "904", ruby("print Vidcache.open(*ARGV, portal_id: 62515, secret: '#{SECRET}').resolve(4)", path)
  end

  test "parent and child each hold the lock" do
    skip "there is no /proc/locks here" unless File.readable?("/proc/locks")
    cache.link(1, 1)
    refute_empty locks_of(Process.pid), "the test finds the lock where there is one"
    in_child_locks = in_child do
      cache.resolve(1)
      [locks_of(Process.pid).size, locks_of(Process.ppid).size]
    end
    cache.resolve(1)
    assert_operator in_child_locks.first, :>, 0
    refute_empty locks_of(Process.pid)
  end

  test "closing in the child does not impact the parent and the other way round" do
    cache.link(1, 1)
    in_child { cache.close }
    assert_equal 1, cache.resolve(1)
    cache.link(1, 2)

    reader, writer = IO.pipe
    pipe, = start_child do
      reader.read(1)
      cache.link(2, 7)
      cache.resolve(1)
    end
    cache.close
    writer.write("x")
    assert_equal [:returned, 2], Marshal.load(pipe)
    assert_equal 7, open_cache.resolve(2), "what the child wrote after the parent had closed is there"
  end

  test "a fork while other threads read and write leaves both sides at work" do
    stop = false
    threads = Array.new(3) do |index|
      Thread.new do
        count = 0
        until stop
          index.zero? ? cache.link("thread", 100 + (count += 1)) : cache.decide("thread", EMAIL)
          sleep 0.0005
        end
      end
    end
    8.times do |index|
      assert_equal index + 1, in_child {
        cache.link("fork-#{index}", index + 1)
        cache.resolve("fork-#{index}")
      }
    end
    stop = true
    threads.each(&:join)
    8.times { |index| assert_equal index + 1, cache.resolve("fork-#{index}") }
  end

  test "a child that ends as processes do leaves the parent's cache alone" do
    cache.link(1, 1)
    pid = fork { exit(0) }
    Process.wait(pid)
    cache.link(2, 2)
    assert_equal [1, 2], [cache.resolve(1), cache.resolve(2)]
  end

  test "a process killed right after a write that returned has written it" do
    5.times do |round|
      reader, writer = IO.pipe
      pid = fork do
        reader.close
        1.upto(1_000_000) do |count|
          cache.link("user-#{round}-#{count}", round * 1_000_000 + count)
          writer.syswrite("#{count} #{cache.begin_email_change("user-#{round}-#{count}")}\n")
        end
      end
      @children << pid
      writer.close
      acknowledged = Array.new(3 + round * 7) { reader.gets }
      Process.kill(:KILL, pid)
      acknowledged += reader.readlines.select { |line| line.end_with?("\n") }
      Process.wait(pid)

      acknowledged.each do |line|
        count, token = line.split.map(&:to_i)
        assert_equal round * 1_000_000 + count, cache.resolve("user-#{round}-#{count}")
        assert_equal :change_outstanding, cache.decide("user-#{round}-#{count}", EMAIL).reason
        cache.abandon_email_change("user-#{round}-#{count}", token)
      end
    end
  end
end
