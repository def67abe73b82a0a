# frozen_string_literal: true

require "test_helper"

# What is refused at open, and that it is left as it was.
class OpenTest < CacheTest
  def refused(error, path = self.path, **options)
    before = contents
    raised = assert_raises(error) { open_cache(path, **options) }
    assert_equal before, contents
    raised
  end

  def contents
    Dir.children(@folder).sort.to_h { |name| [name, File.file?("#{@folder}/#{name}") && File.binread("#{@folder}/#{name}")] }
  end

  # Written and closed by a process that is gone, so that this one may read the file's bytes.
  def file_of(portal: PORTAL, secret: SECRET)
    ruby("Vidcache.open(ARGV[0], portal_id: ARGV[1], secret: ARGV[2]).link(1, 5)", path, portal.to_s, secret)
  end

  test "a file of another portal" do
    file_of(portal: 7)
    error = refused(Vidcache::WrongPortal)
    assert_equal "the cache belongs to portal 7, not to portal 62515", error.message
  end

  test "a file keyed with another secret" do
    file_of(secret: "another secret of thirty-two by.")
    refute_includes refused(Vidcache::WrongSecret).message, SECRET
    refused(Vidcache::WrongSecret, secret: nil)
  end

  test "a secret that is rotated costs nothing" do
    before = open_cache
    before.record(1, answer(901))
    second = "the second secret of the app, long enough"
    after = open_cache(path, secret: second, old_secrets: ["one that never was the secret of it", SECRET])
    assert_predicate after.decide(1, EMAIL), :agreed?
    assert_predicate before.decide(1, EMAIL), :agreed?, "the process that was there before goes on"
    after.close
    before.close
    assert_predicate open_cache(path, secret: second).decide(1, EMAIL), :agreed?, "the old one is needed no more"
    error = assert_raises(Vidcache::WrongSecret) { open_cache }
    assert_includes error.message, "give the one before as an old secret"
    [nil, "x" * 20, [5], [nil]].each do |wrong|
      assert_raises(Vidcache::InvalidOption, Vidcache::InvalidSecret) { open_cache(path, secret: second, old_secrets: wrong) }
    end
  end

  test "a file that is not a database" do
    File.write(path, "ann@shop.test\n" * 100)
    assert_names_no_email(refused(Vidcache::NotACache).message)
  end

  test "a database of another program" do
    assert system("python3", "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('create table t(x)')", path)
    refused(Vidcache::NotACache)
  end

  test "a file of a newer version" do
    file_of
    assert system("python3", "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma user_version = 999')", path)
    refused(Vidcache::NewerSchema)
  end

  test "a folder that is missing or a path that names no file" do
    assert_match(/folder/, refused(Vidcache::CannotOpen, "#{@folder}/missing/x").message)
    refused(Vidcache::CannotOpen, @folder)
    refused(Vidcache::CannotOpen, "")
    refused(Vidcache::CannotOpen, "#{@folder}/a\0b")
    File.symlink("/etc/passwd", "#{@folder}/link")
    refused(Vidcache::CannotOpen, "#{@folder}/link")
  end

  test "a file or a folder that is not writable for another user" do
    file_of
    File.chmod(0o444, path)
    before = contents
    [path, "#{@folder}/new"].each do |path|
      error = in_child do
        Process::Sys.setuid(65_534) if Process.uid.zero?
        Vidcache.open(path, portal_id: PORTAL, secret: SECRET)
        nil
      rescue Vidcache::Error => e
        e.class.name
      end
      assert_equal "Vidcache::CannotOpen", error
    end
    assert_equal before, contents
  end

  test "arguments out of range are refused before a file is made" do
    [nil, 0, -1, 2**63, 1.0, "", "x", :portal].each { |portal| refused(Vidcache::InvalidPortal, portal_id: portal) }
    ["", "x" * 15, 5, :secret].each { |secret| refused(Vidcache::InvalidSecret, secret: secret) }
    refute_includes assert_raises(Vidcache::InvalidSecret) { open_cache(secret: "ann's secret") }.message, "ann"
    [nil, 5, :path, ["x"]].each { |path| refused(Vidcache::InvalidOption, path) }
    [nil, :fast, "full", 1].each { |value| refused(Vidcache::InvalidOption, synchronous: value) }
    [nil, -1, "5", Float::NAN, Float::INFINITY, 3601, 2**70].each { |value| refused(Vidcache::InvalidOption, busy_timeout: value) }
    [nil, 0, 0.05, 3601, "10"].each { |value| refused(Vidcache::InvalidOption, page_deadline: value) }
    [nil, "", "a/b", "a\"b", "\xFF", 5].each { |value| refused(Vidcache::InvalidOption, loader_host: value) }
    assert_empty Dir.children(@folder)
  end

  # What reads HubSpot's answers needs `json` and `date`, which would be most of what the library takes to load.
  test "a process that asks for a page has loaded nothing that reads answers" do
    asked = ruby(<<~'RUBY', path, SECRET)
      cache = Vidcache.open(ARGV[0], portal_id: 62_515, secret: ARGV[1])
      cache.link(1, 901)
      print cache.snippet(1, "ann@shop.test").include?("901"), " ", $LOADED_FEATURES.grep(%r{/json\.rb\z|/date\.rb\z})
      cache.record(1, '{"id":"902","properties":{}}')
      print " ", cache.resolve(1), " ", $LOADED_FEATURES.grep(%r{/json\.rb\z}).size
    RUBY
    assert_equal "true [] 902 1", asked
  end
end
