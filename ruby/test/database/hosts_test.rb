# frozen_string_literal: true

ENV["VIDCACHE_TEST_STORE"] = "database"
require_relative "../rails/helper"
require_relative "../rails/support/processes"
require_relative "../rails/support/app_folder"

# Web and worker on hosts that share no disk: folders of their own, and the app's PostgreSQL.
class Vidcache::HostsTest < Minitest::Test
  BOOT = <<~RUBY
    #{AppFolder::SIDEKIQ}
    Rails.application.configure do
      config.vidcache.portal_id = #{HubspotDouble::PORTAL}
      config.vidcache.access_token = "test"
      config.vidcache.api_url = ENV.fetch("HUBSPOT_API")
      config.vidcache.page_deadline = 0.5
    end
  RUBY
  INSTALL = <<~RUBY
    require "./config/environment"
    Rails.application.load_generators
    ActiveRecord::Schema.verbose = ActiveRecord::Migration.verbose = false
    ActiveRecord::Schema.define { create_table(:users) { |t| t.string :email } }
    Rails::Generators.invoke("vidcache:database", ["--quiet"], behavior: :invoke, destination_root: Rails.root.to_s)
    Dir["db/migrate/*.rb"].each { |path| load path }
    CreateVidcacheTables.new.migrate(:up)
  RUBY

  def setup
    skip RedisServer.missing if RedisServer.missing
    skip HubspotDouble.missing if HubspotDouble.missing
    @processes = Processes.new
    @folder = Dir.mktmpdir("hosts-", SCRATCH)
    @double = HubspotDouble.new(@processes, @folder)
    @database = PostgresServer.get.database
    @environment = { HUBSPOT_API: @double.url, REDIS_URL: RedisServer.start(@processes, @folder) }
    first = host("first")
    first.run(INSTALL, **@environment)
    @initializer = File.read(first.file("config/initializers/vidcache.rb"))
    @web = [first, host("second")]
    @worker = host("worker")
  end

  def teardown
    @processes&.stop_all
  end

  def test_what_a_worker_host_hears_the_pages_of_other_hosts_know_at_once_and_hubspot_has_no_duplicate
    ports = @web.map { |host| host.serve(@processes, **@environment) }
    @worker.sidekiq(@processes, **@environment)
    visitor, elsewhere = ports.map { |port| Visitor.new(port) }
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    @web.first.wait_until(visitor) { visitor.said["email"] == "ann@shop.test" }

    # The same person, signed in on the other host: the cookie serves both.
    elsewhere.instance_variable_set(:@cookies, visitor.instance_variable_get(:@cookies).dup)
    elsewhere.get("/")
    assert_equal "ann@shop.test", elsewhere.said["email"]
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    elsewhere.get("/")
    assert_equal %w[id], elsewhere.said.keys, "the other host knows of the change"
    assert_equal %w[ann@shop.test], @double.emails
    @web.last.wait_until(elsewhere) { elsewhere.said["email"] == "ann@new.test" }
    visitor.get("/")
    assert_equal ["ann@new.test", %w[ann@new.test], []], [visitor.said["email"], @double.emails, @double.state.fetch("duplicates")]
    assert_empty Dir["#{@folder}/*/storage/**/*"].select { |path| File.file?(path) }, "no host has a file"
  end

  private

  def host(name)
    AppFolder.new(File.join(@folder, name).tap { |path| FileUtils.mkdir_p(path) }).tap do |app|
      app.write("config/database.yml", "<%= Rails.env %>:\n  url: #{@database.inspect}\n  pool: 10\n")
      app.write("config/initializers/vidcache.rb", @initializer || BOOT)
      app.adopt
    end
  end
end
