# frozen_string_literal: true

ENV["VIDCACHE_TEST_STORE"] = "database"
require_relative "../rails/helper"
require_relative "../rails/support/processes"
require_relative "../rails/support/app_folder"
require_relative "../rails/support/proxy"

# Puma, whose PostgreSQL is killed, is silent, is cut off, or is locked by somebody's migration. Its pages need the
# database for nothing but vidcache, as those of an app do that keeps its users elsewhere for a while.
class Vidcache::GoneTest < Vidcache::RailsTest
  DEADLINE = 0.5
  LOCK_TIMEOUT = 0.3
  CONNECT_TIMEOUT = 2 # No client of PostgreSQL's takes less.

  CONTROLLER = <<~RUBY
    class ApplicationController < ActionController::Base
      helper_method def current_user
        User.instantiate("id" => params[:user].to_i, "email" => "ann@shop.test")
      end
    end
  RUBY
  INITIALIZER = <<~RUBY
    Rails.application.configure do
      config.vidcache.store = :database
      config.vidcache.portal_id = 62_515
      config.vidcache.page_deadline = #{DEADLINE}
      config.vidcache.loader_host = "js.hs-scripts.com"
    end
  RUBY

  def setup
    super
    @processes = Processes.new
    @server = PostgresServer.get
    @proxy = Proxy.new("#{@server.folder}/.s.PGSQL.5432")
    @app = AppFolder.new(Dir.mktmpdir("gone-", SCRATCH)).tap(&:adopt)
    @app.write("config/puma.rb", "threads 1, 1\nbind \"tcp://127.0.0.1:\#{ENV.fetch(\"PORT\")}\"\n")
    @app.write("app/controllers/application_controller.rb", CONTROLLER)
    @app.write("config/initializers/vidcache.rb", INITIALIZER)
    @app.write("config/database.yml", <<~YAML)
      production:
        url: postgresql://app@127.0.0.1:#{@proxy.port}/#{database}?connect_timeout=#{CONNECT_TIMEOUT}&application_name=puma
        variables: { lock_timeout: "#{(LOCK_TIMEOUT * 1000).round}" }
    YAML
  end

  def teardown
    @processes.stop_all
    @proxy.stop
    start_again unless @server.pid
    super
  end

  def test_whatever_becomes_of_postgresql_a_page_goes_out_says_less_and_names_the_email_as_soon_as_it_may
    @visitor = Visitor.new(@app.serve(@processes))
    @user = agreed_user
    named
    assert_equal 1, value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'puma'"), "one thread, one connection"

    locked { 2.times { less(at_least: LOCK_TIMEOUT) } }
    named

    2.times { silent { sleep DEADLINE * 1.5 } } # The answer comes, and is too old.
    named

    @proxy.hold
    @proxy.cut
    less(within: 3 * CONNECT_TIMEOUT) # Active Record tries more than once.
    @proxy.release
    named

    @server.down("KILL")
    sleep 0.05 until @visitor.get("/?user=#{@user.id}") && @visitor.said.empty? # A backend may be slow to notice.
    5.times { less }
    start_again
    named

    assert_equal ["Vidcache::Busy: the app's database kept vidcache waiting for too long: LockWaitTimeout",
                  "Vidcache::Storage: storage failed: the app's database cannot be reached",
                  "Vidcache::TablesUnusable: vidcache's tables in the app's database cannot be used: the transaction sees the database " \
                  "as it was … ms ago"], reports, "each once"
  end

  private

  # The next page names the email, whatever was before; of a machine that is busy one that was not too late.
  def named
    Timeout.timeout(60) do
      loop do
        @visitor.get("/?user=#{@user.id}")
        assert_includes [[200, nil], [200, "vid:901"]], [@visitor.status, @visitor.said["id"]]
        break if @visitor.said["email"] == "ann@shop.test"
      end
    end
  end

  # A page that says less, by the connection's own timeout.
  def less(at_least: 0, within: at_least, said: {})
    took = seconds { @visitor.get("/?user=#{@user.id}") }
    assert_equal [200, said], [@visitor.status, @visitor.said]
    assert_includes @visitor.page, "js.hs-scripts.com", "the tracking code is there"
    assert_includes at_least..(within + 5), took # Of a machine that is busy, too.
  end

  # The server says nothing while the block runs, and the page waits for it.
  def silent
    @proxy.hold
    page = Thread.new { less(within: DEADLINE * 2, said: { "id" => "vid:901" }) } # Which no age makes another.
    yield
    @proxy.release
    page.value
  end

  def locked
    @server.connect(database) do |connection|
      connection.transaction do
        connection.exec("ALTER TABLE vidcache_links ADD note text")
        yield
        connection.exec("ALTER TABLE vidcache_links DROP note")
      end
    end
  end

  # Once those are gone whose postmaster was killed.
  def start_again
    tries = 0
    begin
      @server.start
    rescue RuntimeError
      raise if (tries += 1) > 100

      sleep 0.1
      retry
    end
    ActiveRecord::Base.connection_pool.disconnect!
  end

  def reports
    said = File.read(@app.file("log/production.log")).gsub(/\d+ ms/, "… ms")
    said.scan(/vidcache: pages say less than they could of who their visitors are: (.*)$/).flatten.sort
  end

  def database
    @database ||= ActiveRecord::Base.connection.current_database
  end

  def value(sql)
    ActiveRecord::Base.connection.select_value(sql)
  end

  def seconds
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - began
  end
end
