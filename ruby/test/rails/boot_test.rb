# frozen_string_literal: true

require_relative "helper"
require "rake"
require "minitest/mock"
require_relative "support/processes"
require_relative "support/app_folder"

# The railtie in apps that are booted for real.
class Vidcache::BootTest < Minitest::Test
  def setup
    @processes = Processes.new
    @app = AppFolder.new(Dir.mktmpdir("app-", SCRATCH))
    @app.write("app/views/layouts/application.html.erb", "<html><body><%= yield %><%= hubspot_tracking_tag(current_user) %></body></html>")
    @app.write("app/models/user.rb", "class User < ApplicationRecord\n  has_vid\nend\n")
    @app.write("app/jobs/hubspot_contact_job.rb", "class HubspotContactJob < ApplicationJob\n  def perform(*); end\nend\n")
  end

  def teardown
    @processes.stop_all
  end

  def test_without_a_portal_the_app_runs_as_if_there_were_no_vidcache
    port = @app.serve(@processes)
    visitor = Visitor.new(port)
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    assert_equal 200, visitor.status
    refute_includes visitor.page, "hs-script-loader"
    refute_path_exists @app.file("storage")
    assert_equal "ann@new.test", @app.run("require './config/environment'; print User.first.email")
  end

  def test_the_file_is_made_at_the_first_use_and_not_at_boot
    configure
    assert_equal "false", @app.run("require './config/environment'; print File.exist?('storage')")
    script = "require './config/environment'; Vidcache.cache.link(1, 901); print Vidcache.cache.portal_id"
    assert_equal "62515", @app.run(script)
    assert_path_exists @app.file("storage/hubspot.vidcache")
    assert_equal "901", @app.run("require './config/environment'; print Vidcache.cache.resolve(1)"), "the same secret every time"
  end

  UNUSABLE = "vidcache: the file cannot be used, so pages go out without HubSpot's tracking code, and whoever signs up"

  def test_a_server_that_cannot_open_the_file_boots_and_says_so_and_other_programs_do_not_look
    configure "Rails.application.config.vidcache.loader_host = 'js.hs-scripts.com'"
    @app.write("storage", "a file where the folder should be")
    said = lambda do |script|
      File.write(@app.file("log/production.log"), "")
      @app.run(script)
      File.read(@app.file("log/production.log")).scan(/^.*vidcache: the file cannot be used.*$/)
    end
    assert_equal 1, said.call("$PROGRAM_NAME = 'sidekiq 6.4.1 shop [0 of 5 busy]'; require './config/environment'").size
    assert_empty said.call("require './config/environment'")

    port = @app.serve(@processes)
    log = File.read(@app.file("log/production.log"))
    assert_includes log, UNUSABLE
    assert_includes log, "#{File.realpath(@app.path)}/storage"
    assert_includes log, "config.vidcache.path"
    visitor = Visitor.new(port)
    visitor.get("/settings")
    assert_equal 200, visitor.status
  end

  def test_servers_and_workers_are_known_by_what_they_are_called
    was = $0
    named = ->(name) { ($0 = name) && Vidcache::Boot.server? }
    ["/usr/bin/puma", "puma 5.6.5 (tcp://0.0.0.0:3000) [shop]", "puma: cluster worker 0: 12 [shop]", "unicorn master -c config/unicorn.rb",
     "bin/falcon", "bin/jobs", "sidekiq 6.4.1 shop [0 of 5 busy]", "good_job"].each { |name| assert named.call(name), name }
    ["bin/rails", "-e", "", "rake", "/usr/bin/irb", "spring app    | shop", "puma_test.rb"].each { |name| refute named.call(name), name }
    rake = lambda do |*tasks|
      Rake.stub(:application, Struct.new(:top_level_tasks).new(tasks)) { named.call("/usr/bin/rake") }
    end
    assert rake.call("environment", "resque:work")
    refute rake.call("assets:precompile")
  ensure
    $0 = was
  end

  def test_what_cannot_be_made_is_named_with_owner_mode_and_user
    skip "only root can be another user" unless Process.uid.zero?
    configure
    FileUtils.chmod(0o755, [SCRATCH, @app.path])
    said = @app.run(<<~RUBY)
      require "./config/environment"
      Process::Sys.setgid(65_534)
      Process::Sys.setuid(65_534)
      begin
        Vidcache.cache
      rescue Vidcache::CannotOpen => e
        puts e.message
      end
    RUBY
    ["(os error 13)", File.realpath(@app.path), "mode 0755, owner 0", "user 65534", "config.vidcache.path"].each { |word| assert_includes said, word }
  end

  def test_what_root_opens_first_belongs_to_the_owner_of_the_folder
    skip "only root can give a file away" unless Process.uid.zero?
    configure "Rails.application.config.vidcache.path = 'shared/deep/hubspot.vidcache'"
    FileUtils.mkdir(@app.file("shared"))
    File.chown(65_534, 65_533, @app.file("shared"))
    @app.run("require './config/environment'; Vidcache.cache.link(1, 901)")
    owners = ["deep", *Dir.children(@app.file("shared/deep")).map { |name| "deep/#{name}" }].map { |name| File.stat(@app.file("shared/#{name}")) }
    assert_equal [[65_534, 65_533]] * 4, owners.map { |stat| [stat.uid, stat.gid] }
  end

  def test_the_secret_does_not_change_with_load_defaults
    configure
    secret = "require './config/environment'; print Vidcache.settings.secret.unpack1('H*')"
    before = @app.run(secret)
    configure "Rails.application.config.active_support.key_generator_hash_digest_class = OpenSSL::Digest::SHA256"
    assert_equal before, @app.run(secret)
    assert_equal 64, before.size
  end

  def test_a_quiet_period_that_is_too_short_stops_the_boot
    configure "Rails.application.config.vidcache.quiet_period = 10.seconds"
    error = assert_raises(RuntimeError) { @app.run("require './config/environment'") }
    assert_includes error.message, "config.vidcache.quiet_period (10.0 s) must be longer than config.vidcache.page_deadline (10.0 s)"
  end

  def test_the_defaults_are_those_of_the_documentation
    configure "Rails.application.config.vidcache.page_deadline = 20"
    script = "require './config/environment'; s = Vidcache.settings; print [s.page_deadline, s.quiet_period, s.portal_id, s.path].join(' ')"
    assert_equal "20.0 25.0 62515 #{File.realpath(@app.path)}/storage/hubspot.vidcache", @app.run(script)
  end

  def test_a_file_that_will_not_last_where_it_is_is_warned_of_once_in_production
    memory = Dir.mktmpdir("vidcache-", "/dev/shm")
    configure "Rails.application.config.vidcache.path = '#{memory}/hubspot.vidcache'"
    warnings = lambda do |environment|
      File.write(@app.file("log/#{environment}.log"), "")
      @app.run("require './config/environment'; 2.times { Vidcache.cache.resolve(1) }", RAILS_ENV: environment)
      File.read(@app.file("log/#{environment}.log")).scan("is on memory (tmpfs), which is gone with the next start of the host").size
    end
    assert_equal [1, 0], [warnings.call("production"), warnings.call("development")]
  ensure
    FileUtils.rm_rf(memory) if memory
  end

  def test_a_loader_host_that_was_left_at_its_default_is_warned_of_once_in_production
    boot = lambda do |**env|
      File.write(@app.file("log/production.log"), "")
      @app.run("require './config/environment'", **env)
      File.read(@app.file("log/production.log")).scan("config.vidcache.loader_host is not set").size
    end
    assert_equal 0, boot.call, "without a portal"
    configure
    assert_equal 1, boot.call
    refute_includes @app.run("require './config/environment'; Rails.logger.info('x')", RAILS_ENV: "development"), "loader_host"
    refute_includes File.read(@app.file("log/development.log")), "loader_host"
    configure "Rails.application.config.vidcache.loader_host = 'js.hs-scripts.com'"
    assert_equal 0, boot.call, "set to the default"
    configure "Rails.application.config.vidcache.loader_host = 'js-na2.hs-scripts.com'"
    assert_equal 0, boot.call
    assert_includes @app.run("require './config/environment'; print Vidcache.cache.anonymous_snippet"), '"//js-na2.hs-scripts.com/62515.js"'
  end

  def test_in_production_webhooks_without_an_address_are_warned_of
    boot = lambda do
      File.write(@app.file("log/production.log"), "")
      @app.run("require './config/environment'")
      File.read(@app.file("log/production.log")).scan("config.vidcache.webhook_url is not set").size
    end
    configure
    assert_equal 0, boot.call, "no webhooks"
    configure "Rails.application.config.vidcache.client_secret = 'x'"
    assert_equal 1, boot.call
    configure "Rails.application.config.vidcache.client_secret = 'x'",
              "Rails.application.config.vidcache.webhook_url = 'https://shop.test/hubspot/webhooks'"
    assert_equal 0, boot.call
  end

  def test_neither_settings_nor_configuration_print_a_secret
    configure "v = Rails.application.config.vidcache", "v.access_token = 'pat-eu1-0001'", "v.client_secret = 'client-0002'",
              "v.secret = 'of-the-file-0003'"
    said = @app.run(<<~RUBY)
      require "./config/environment"
      require "pp"
      settings, options = Vidcache.settings, Rails.application.config.vidcache
      puts [settings, options].flat_map { |it| [it.inspect, it.to_s, it.pretty_inspect, [it].inspect, "\#{it}"] }
      puts "filtered: \#{Rails.application.config.filter_parameters.inspect}"
    RUBY
    base = @app.run("require './config/environment'; print Rails.application.secret_key_base")
    ["pat-eu1-0001", "client-0002", "of-the-file-0003", base].each { |secret| refute_includes said, secret }
    assert_includes said, "#<Vidcache::Settings portal_id=62515>"
    assert_includes said, "access_token"
    assert_match(/^filtered: .*:propertyValue/, said)
  end

  # The app's own code opens the cache before Puma forks its workers; there is no hook in config/puma.rb.
  def test_a_cache_opened_before_preload_app_forks_serves_every_worker
    configure "Rails.application.config.after_initialize { Vidcache.cache.link(4711, 4711) }",
              "Rails.application.config.vidcache.loader_host = 'js.hs-scripts.com'"
    port = @app.serve(@processes, WORKERS: 2)
    visitor = Visitor.new(port)
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    answer = '{id: "901", properties: {email: User.first.email}, updatedAt: Time.now.utc.iso8601(3)}'
    @app.run("require './config/environment'; Vidcache.cache.record(User.first.id, #{answer})")

    said = said_by_each_worker(visitor)
    assert_equal [[{ "id" => "vid:901", "email" => "ann@shop.test" }]] * 2, said.values

    # One worker begins the change; from that moment no worker names an email.
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    assert_equal [[{ "id" => "vid:901" }]] * 2, said_by_each_worker(visitor).values

    # A fourth process finishes it.
    @app.run("require './config/environment'; token = Vidcache.cache.stale_changes(older_than: 0).first.token; " \
             "Vidcache.cache.record(User.first.id, #{answer}, change: token)")
    assert_equal [[{ "id" => "vid:901", "email" => "ann@new.test" }]] * 2, said_by_each_worker(visitor).values
    # Where tests keep their files may not last, a container's own layer say, and production is told that.
    refute_match(/vidcache: (?!a page named|recorded|\S+ is on )/, File.read(@app.file("log/production.log")))
  end

  def test_a_class_that_is_loaded_anew_keeps_its_vid
    configure
    @app.write("reload.rb", <<~RUBY)
      require "./config/environment"
      first = User
      Rails.application.reloader.reload!
      abort "not reloaded" if first.equal?(User)
      user = User.create!(email: "ann@shop.test")
      user.update!(email: "ann@new.test")
      sleep 0.002 # The clock of the file counts milliseconds.
      print user.vidcache_decision.reason, " ", Vidcache.cache.stale_changes(older_than: 0).size, " ", User.vidcache_job
    RUBY
    assert_equal "not_linked 1 HubspotContactJob", @app.run("sleep 0.01; load 'reload.rb'", RAILS_ENV: "development")
  end

  def test_the_script_for_pages_of_the_app_s_own_is_an_asset
    skip "sprockets-rails is not installed" if Gem::Specification.find_all_by_name("sprockets-rails").empty?
    @app.write("config/initializers/a.rb", "Rails.application.config.assets.compile = true")
    @app.write("app/assets/config/manifest.js", "")
    application = File.read(@app.file("config/application.rb"))
    @app.write("config/application.rb", application.sub('require "vidcache"') { %(require "sprockets/railtie"\nrequire "vidcache") })
    script = "require './config/environment'; print %w[vidcache.js vidcache.classic.js].map { |name| Rails.application.assets[name].to_s }.join"
    served = @app.run(script)
    [true, false].each { |classic| assert_includes served, File.read(Vidcache.page_script_path(classic: classic)).lines.last.chomp }
  end

  private

  def configure(*more)
    @app.write("config/initializers/hubspot.rb", ["Rails.application.config.vidcache.portal_id = '62515'", *more].join("\n"))
  end

  # @return [Hash{String => Array<Hash>}] a worker's pid, and what it said
  def said_by_each_worker(visitor)
    said = Hash.new { |hash, pid| hash[pid] = [] }
    200.times do
      visitor.get("/")
      said[visitor.page[%r{<p>(\d+)</p>}, 1]] |= [visitor.said]
      break if said.size == 2 && said.values.flatten.size >= 2
    end
    said
  end
end
