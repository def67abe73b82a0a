# frozen_string_literal: true

require "minitest/autorun"
require "fileutils"
require "json"
require "open3"
require "socket"
require "time"
require "timeout"
require "tmpdir"
require "vidcache"
require_relative "collector"

# A cache in a folder of its own, and what looks at it from outside. No mocks: files, processes and locks are real.
class CacheTest < Minitest::Test
  PORTAL = 62_515
  SECRET = "thirty-two bytes kept out of it."
  EMAIL = "ann@shop.test"
  LIB = File.expand_path("../lib", __dir__)

  attr_reader :path

  # A test's name is a sentence.
  def self.test(sentence, &body)
    define_method("test_#{sentence.tr(" ", "_")}", &body)
  end

  def setup
    @folder = Dir.mktmpdir("vidcache-ruby")
    File.chmod(0o755, @folder)
    @path = File.join(@folder, "hubspot.vidcache")
    @caches = []
    @children = []
  end

  def teardown
    @children.each { |pid| stop(pid) }
    @caches.each(&:close)
    FileUtils.rm_rf(@folder)
  end

  def open_cache(path = @path, portal_id: PORTAL, secret: SECRET, **options)
    Vidcache.open(path, portal_id: portal_id, secret: secret, **options).tap { |cache| @caches << cache }
  end

  def cache
    @cache ||= open_cache
  end

  # What HubSpot's v3 API answers for a contact.
  def answer(vid, email = EMAIL, second: 0)
    { id: vid.to_s, properties: { email: email }, updatedAt: format("2026-03-01T10:00:%02d.000Z", second) }.to_json
  end

  # All rows of the file, as another process reads them.
  def rows
    script = "import sqlite3, sys; print('\\n'.join(sqlite3.connect(sys.argv[1]).iterdump()))"
    dump, status = Open3.capture2("python3", "-c", script, path)
    assert status.success?
    dump
  end

  # Runs Ruby with the library, in a process of its own. Returns what it printed.
  def ruby(script, *arguments, options: [])
    output, status = Open3.capture2e(RbConfig.ruby, *options, "-I#{LIB}", "-rvidcache", "-e", script, *arguments)
    assert status.success?, output
    output
  end

  # What the block returns in a forked child.
  def in_child(seconds: 20, &block)
    pipe, pid = start_child(&block)
    pipe.wait_readable(seconds) or flunk "the child hangs"
    outcome, value = Marshal.load(pipe)
    Process.wait(pid)
    @children.delete(pid)
    flunk "in the child: #{value}" if outcome == :raised
    value
  end

  def start_child
    reader, writer = IO.pipe(binmode: true)
    pid = fork do
      reader.close
      outcome = begin
        [:returned, yield]
      rescue Exception => e # rubocop:disable Lint/RescueException
        [:raised, "#{e.class}: #{e.message} #{e.backtrace&.first}"]
      end
      Marshal.dump(outcome, writer)
      writer.flush
      exit!(0)
    end
    writer.close
    @children << pid
    [reader, pid]
  end

  def stop(pid)
    Process.kill(:KILL, pid)
    Process.wait(pid)
  rescue Errno::ESRCH, Errno::ECHILD
    nil # it has ended by itself
  end

  # Another process that holds the write lock until the block ends, or until the proc it is given is called.
  def locked(statement = "BEGIN IMMEDIATE")
    script = <<~PYTHON
      import sqlite3, sys
      db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
      for statement in sys.argv[2].split(";"):
          db.execute(statement)
      print("held", flush=True)
      sys.stdin.read()
    PYTHON
    Open3.popen2("python3", "-c", script, path, statement) do |input, output, holder|
      assert_equal "held\n", output.gets
      release = lambda do
        input.close unless input.closed?
        holder.join
      end
      begin
        yield release
      ensure
        release.call
      end
    end
  end

  def seconds
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  end

  def assert_names_no_email(text)
    refute_match(/(?<![a-z])ann|shop\.test/i, text)
  end
end
