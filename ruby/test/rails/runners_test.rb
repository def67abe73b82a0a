# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"
require_relative "support/app_folder"
require_relative "support/checkouts"

# What runs an app otherwise than Puma does, over one file: Falcon's fibers, the processes that Spring forks of one that
# has loaded the app, those of parallel_tests.
class Vidcache::RunnersTest < Minitest::Test
  SETTINGS = <<~RUBY
    Rails.application.config.vidcache.portal_id = #{HubspotDouble::PORTAL}
    Rails.application.config.vidcache.access_token = "test"
    Rails.application.config.vidcache.loader_host = "js.hs-scripts.com"
    Rails.application.config.vidcache.api_url = ENV["HUBSPOT_API"]
    Rails.application.config.vidcache.page_deadline = 0.2
    Rails.application.config.vidcache.quiet_period = 0.6
  RUBY

  def setup
    @processes = Processes.new
    @folder = Dir.mktmpdir("runner-", SCRATCH)
  end

  def teardown
    @processes.stop_all
  end

  # Two processes, and in each of them all requests in one thread.
  def test_falcon_names_each_visitor_and_a_change_as_puma_does
    skip Checkouts.missing("falcon") if Checkouts.missing("falcon")
    skip HubspotDouble.missing if HubspotDouble.missing
    app = adopted
    app.write("config/initializers/fibers.rb", "Rails.application.config.active_support.isolation_level = :fiber\n")
    port = falcon(app)
    visitors = %w[ann bob cat].to_h { |name| [name, signed_up(app, port, "#{name}@shop.test")] }

    # All at once, while one of them changes their email.
    pages = visitors.map do |name, visitor|
      Thread.new { name == "ann" ? change(visitor, "new@shop.test") : Array.new(20) { visitor.get("/") && visitor.said["email"] } }
    end
    changed, *others = pages.map(&:value)
    assert_equal %w[id], changed.keys
    assert_equal [["bob@shop.test"], ["cat@shop.test"]], others.map(&:uniq)
    app.wait_until(visitors["ann"]) { visitors["ann"].said["email"] == "new@shop.test" }
    assert_empty @double.state.fetch("duplicates")
  end

  # The process that Spring forks has opened the file, and a change of the first command is seen by the second.
  def test_commands_that_spring_forks_share_the_file_that_their_parent_has_open
    skip Checkouts.missing("spring") if Checkouts.missing("spring")
    newest = Gem::Specification.find_all_by_name("spring").map(&:version).max
    skip "Spring #{newest} is older than Rails 7, and cannot load it" if Rails.gem_version.segments.first > 6 && newest < Gem::Version.new("4")
    app = AppFolder.new(@folder)
    app.adopt
    app.write("Gemfile", "gem 'rails'\ngem 'sqlite3'\ngem 'spring'\n")
    app.write("bin/rails", "APP_PATH = File.expand_path('../config/application', __dir__)\nrequire 'rails/commands'\n")
    app.write("config/environments/development.rb", "Rails.application.config.cache_classes = false # Spring asks for it.\n")
    app.write("config/initializers/boot.rb", "#{SETTINGS}Rails.application.config.after_initialize { Vidcache.cache.link(1, 901) }\n")
    first, vid = spring(app, "rails", "runner", "print Process.ppid, ' ', Vidcache.cache.resolve(1), ' ', Vidcache.cache.begin_email_change(1)").split
    assert_equal "901", vid
    second, reason = spring(app, "rails", "runner", "print Process.ppid, ' ', Vidcache.cache.decide(1, 'ann@shop.test').reason").split
    assert_equal [first, "change_outstanding"], [second, reason], "forked of one process"
  ensure
    spring(app, "stop") if app
    FileUtils.rm_rf(SOCKETS)
  end

  def test_the_processes_of_parallel_tests_have_a_file_each
    skip Checkouts.missing("parallel_tests") if Checkouts.missing("parallel_tests")
    app = AppFolder.new(@folder)
    app.adopt
    app.write("config/initializers/boot.rb", SETTINGS)
    2.times do |n|
      app.write("test/users_#{n}_test.rb", <<~RUBY)
        require "minitest/autorun"
        require "./config/environment"
        class Users#{n}Test < Minitest::Test
          def test_a_user_of_its_own
            Vidcache.cache.link(1, #{901 + n})
            sleep 0.5
            assert_equal #{901 + n}, Vidcache.cache.resolve(1)
          end
        end
      RUBY
    end
    output = IO.popen([ENVIRONMENT.merge("RAILS_ENV" => "test"), RbConfig.ruby, "-S", "parallel_test", "-n", "2", "test",
                       { chdir: app.path, err: %i[child out] }], &:read)
    assert_predicate $?, :success?, output
    assert_equal %w[hubspot.test.vidcache hubspot.test2.vidcache], Dir[app.file("storage/*.vidcache")].map { |path| File.basename(path) }.sort
  end

  private

  ENVIRONMENT = { "RAILS_ENV" => nil, "DATABASE_URL" => nil, "RUBYOPT" => nil }.freeze

  def adopted
    @double = HubspotDouble.new(@processes, @folder, delay_ms: 20)
    AppFolder.new(@folder).tap do |app|
      app.write("config/initializers/boot.rb", SETTINGS)
      app.adopt
    end
  end

  def falcon(app)
    port = Processes.free_port
    command = [RbConfig.ruby, "-e", "load Gem.bin_path('falcon', 'falcon')", "serve", "--bind", "http://127.0.0.1:#{port}", "--count", "2"]
    pid = app.start(@processes, *command, log: "log/falcon.log", HUBSPOT_API: @double.url, PORT: port)
    @processes.wait(pid, seconds: 90) { Net::HTTP.get_response(URI("http://127.0.0.1:#{port}/up")).code == "200" rescue false } # rubocop:disable Style/RescueModifier
    port
  end

  def signed_up(app, port, email)
    Visitor.new(port).tap do |visitor|
      visitor.get("/sign_up")
      visitor.submit("/sign_up", "email" => email)
      app.wait_until(visitor) { visitor.said["email"] == email }
    end
  end

  def change(visitor, email)
    visitor.get("/settings")
    visitor.submit("/settings", "email" => email)
    visitor.said
  end

  # Their names have to be short.
  SOCKETS = "/tmp/spring-#{Process.pid}".freeze

  # @return [String] what it printed
  def spring(app, *arguments)
    environment = ENVIRONMENT.merge("XDG_RUNTIME_DIR" => FileUtils.mkdir_p(SOCKETS).first, "BUNDLE_GEMFILE" => app.file("Gemfile"))
    log = app.file("log/spring.log")
    output = IO.popen([environment, RbConfig.ruby, "-S", "spring", *arguments, { chdir: app.path, err: log }], &:read)
    $?.success? ? output : raise(File.read(log))
  end
end
