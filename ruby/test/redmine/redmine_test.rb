# frozen_string_literal: true

require "minitest/autorun"
require "fileutils"
require "vidcache"
require_relative "../rails/support/processes"

# Debian's Redmine, with `plugin` beside this file in it: its own pages over HTTP, on Puma. Emails stand in a table of
# their own there (`email_addresses`), several of a user, one of them the default.
class Vidcache::RedmineTest < Minitest::Test
  REDMINE = "/usr/share/redmine"
  GEM = File.expand_path("../..", __dir__)
  SECRET = "thirty-two bytes kept out of it."
  QUIET = 2

  # One Redmine for all tests, which makes it some fifteen seconds and each of them a few.
  def self.redmine
    @redmine ||= begin
      processes = Processes.new
      Minitest.after_run { processes.stop_all }
      Redmine.new(processes, Dir.mktmpdir("vidcache-redmine-").tap { |folder| Minitest.after_run { FileUtils.remove_entry(folder) } })
    end
  end

  def setup
    skip "Redmine is not installed" unless File.directory?(REDMINE)
    skip HubspotDouble.missing if HubspotDouble.missing
    @redmine = self.class.redmine
    @double = @redmine.double
  end

  def test_who_signs_up_is_named_once_hubspot_has_their_contact
    visitor = sign_up("ann")
    assert_named visitor, "ann@shop.test"
    assert_equal 1, @double.emails.count("ann@shop.test")
    assert_equal({}, @redmine.visitor.tap { |stranger| stranger.get("/") }.said, "who is not signed in")
  end

  def test_no_page_names_a_new_email_before_hubspot_holds_it_and_pages_name_it_after_that
    visitor = named("bob")
    changed_at = now
    change_mail(visitor, "new@shop.test")
    assert_equal "new@shop.test", field(visitor, "user[mail]")
    assert_equal %w[id], visitor.said.keys, "the page that the change redirects to"
    until @double.emails.include?("new@shop.test")
      %w[/ /my/page /my/account /projects].each do |path|
        visitor.get(path)
        # Asked for after the page: if HubSpot does not hold it now, it did not when the page was made.
        assert_nil visitor.said["email"] unless @double.emails.include?("new@shop.test")
      end
      assert_operator now - changed_at, :<, 60
    end
    refute_includes @double.emails, "bob@shop.test"
    assert_operator now - changed_at, :>=, QUIET
    assert_named visitor, "new@shop.test"
    assert_empty @double.state.fetch("duplicates")
  end

  def test_a_second_address_changes_nothing
    visitor = named("cat")
    id = id_of(visitor)
    visitor.get("/users/#{id}/email_addresses")
    visitor.follow("post", "/users/#{id}/email_addresses", "email_address[address]" => "second@shop.test")
    assert_includes visitor.page, "second@shop.test"
    visitor.get("/my/account")
    assert_equal "cat@shop.test", visitor.said["email"]
    assert_empty changes
    visitor.get("/users/#{id}/email_addresses")
    visitor.follow("delete", visitor.page[%r{ href="(/users/#{id}/email_addresses/\d+)"}, 1])
    refute_includes visitor.page, "second@shop.test"
    visitor.get("/my/account")
    assert_equal "cat@shop.test", visitor.said["email"]
    assert_equal [["cat@shop.test"], []], [@double.emails & %w[cat@shop.test second@shop.test], changes]
  end

  def test_who_deletes_their_account_is_forgotten
    visitor = named("dan")
    id = id_of(visitor)
    assert with_file { |cache| cache.resolve(id) }
    visitor.get("/my/account/destroy")
    visitor.submit("/my/account/destroy", "confirm" => "1")
    assert_equal({}, visitor.said)
    assert_nil with_file { |cache| cache.resolve(id) }
  end

  private

  def sign_up(login)
    @redmine.visitor.tap do |visitor|
      visitor.get("/account/register")
      visitor.submit("/account/register",
                     "user[login]" => login, "user[password]" => "a long password", "user[password_confirmation]" => "a long password",
                     "user[firstname]" => login, "user[lastname]" => "Shop", "user[mail]" => "#{login}@shop.test", "user[language]" => "en")
      assert_includes visitor.page, "/my/account", visitor.page
    end
  end

  def named(login)
    sign_up(login).tap { |visitor| assert_named(visitor, "#{login}@shop.test") }
  end

  def change_mail(visitor, mail)
    visitor.get("/my/account")
    visitor.submit("/my/account", %w[user[firstname] user[lastname]].to_h { |name| [name, field(visitor, name)] }.merge("user[mail]" => mail))
  end

  # Its job has to have told HubSpot, and a page to be rendered after that.
  def assert_named(visitor, email)
    began = now
    until visitor.said["email"] == email
      raise "no page names #{email}: #{visitor.said}\n#{@redmine.log}" if now - began > 60

      sleep 0.1
      visitor.get("/my/account")
    end
  end

  def field(visitor, name)
    visitor.page[/<input[^>]* name="#{Regexp.escape(name)}"[^>]*>/].to_s[/ value="([^"]*)"/, 1]
  end

  def id_of(visitor)
    visitor.page[%r{href="/users/(\d+)"}, 1].to_i
  end

  def changes
    with_file { |cache| cache.stale_changes(older_than: 0) }
  end

  def with_file(&block)
    cache = Vidcache.open(@redmine.file, portal_id: HubspotDouble::PORTAL, secret: SECRET, page_deadline: 1)
    block.call(cache)
  ensure
    cache&.close
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

# A copy of Debian's Redmine in a folder, with a database of its own. Debian's patches keep what belongs to an instance
# (settings, database, logs, plugins) in `instances/default`.
class Redmine
  attr_reader :double, :file

  def initialize(processes, folder)
    @processes = processes
    @root = "#{folder}/redmine"
    @instance = "#{@root}/instances/default"
    @file = "#{folder}/hubspot.vidcache"
    @double = HubspotDouble.new(processes, folder, delay_ms: 100)
    # Some of it are links to other packages' files.
    system("cp", "--recursive", "--dereference", Vidcache::RedmineTest::REDMINE, @root, exception: true)
    FileUtils.rm_rf(%w[instances Gemfile.lock].map { |name| "#{@root}/#{name}" })
    adopt
    configure
    serve
  end

  def visitor
    Visitor.new(@port)
  end

  def log
    File.read("#{@instance}/log/production.log").lines.grep(/Error|vidcache/).last(10).join
  end

  private

  # What an admin does.
  def adopt
    FileUtils.mkdir_p(%w[plugins config log tmp files public].map { |name| "#{@instance}/#{name}" })
    FileUtils.cp_r(File.expand_path("plugin", __dir__), "#{@instance}/plugins/hubspot")
    write("Gemfile.local", "gem 'puma'\ngem 'vidcache', path: #{Vidcache::RedmineTest::GEM.inspect}\n")
    write("config/additional_environment.rb", <<~RUBY)
      config.vidcache.portal_id = #{HubspotDouble::PORTAL}
      config.vidcache.access_token = "test"
      config.vidcache.loader_host = "js.hs-scripts.com"
      config.vidcache.path = #{@file.inspect}
      config.vidcache.secret = #{Vidcache::RedmineTest::SECRET.inspect}
      config.vidcache.page_deadline = 1
      config.vidcache.quiet_period = #{Vidcache::RedmineTest::QUIET}
      config.vidcache.api_url = #{@double.url.inspect}
      config.secret_key_base = "0" * 64
    RUBY
  end

  # What Debian's package does when it may ask: a database, and who may sign up.
  def configure
    write("instances/default/config/database.yml", "production: { adapter: sqlite3, database: #{@root}/db/redmine.sqlite3, timeout: 5000 }\n")
    run("rake", "db:migrate")
    run("rails", "runner", "Setting.self_registration = '3'; Setting.unsubscribe = '1'")
  end

  def serve
    @port = Processes.free_port
    log = "#{@instance}/log/puma.log"
    pid = @processes.start("puma", "--environment", "production", "--bind", "tcp://127.0.0.1:#{@port}", env: ENVIRONMENT, log: log, chdir: @root)
    @processes.wait(pid, seconds: 120) { Net::HTTP.get_response(URI("http://127.0.0.1:#{@port}/login")).code == "200" rescue false } # rubocop:disable Style/RescueModifier
  end

  ENVIRONMENT = { "RAILS_ENV" => "production", "RUBYOPT" => nil, "RUBYLIB" => nil, "BUNDLE_WITHOUT" => "development:test" }.freeze
  private_constant :ENVIRONMENT

  def run(*command)
    output = IO.popen([ENVIRONMENT, *command, { chdir: @root, err: %i[child out] }], &:read)
    raise "#{command.join(" ")}: #{output}" unless $?.success?
  end

  def write(name, text)
    File.write("#{@root}/#{name}", text)
  end
end
