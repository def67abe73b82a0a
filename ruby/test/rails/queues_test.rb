# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"
require_relative "support/app_folder"
require_relative "support/queues"

# The worker's job in queues of other kinds than Sidekiq, each with a worker in processes of its own, as ADR 25 lists
# them.
class Vidcache::QueuesTest < Minitest::Test
  BOOT = <<~RUBY
    Rails.application.config.vidcache.portal_id = #{HubspotDouble::PORTAL}
    Rails.application.config.vidcache.access_token = "test"
    Rails.application.config.vidcache.loader_host = "js.hs-scripts.com"
    Rails.application.config.vidcache.api_url = ENV.fetch("HUBSPOT_API")
    Rails.application.config.vidcache.page_deadline = 0.2
    Rails.application.config.vidcache.quiet_period = QUIET = 0.6
  RUBY

  # What the scripts have: `queued`; `still`, during which the worker stands; and `told`, which waits until a page would
  # name the user and nothing is queued: a queue writes down that a job is done after it was.
  COMMON = <<~RUBY
    require "./config/environment"
    require "net/http"
    def queued = %s
    def still
      Process.kill("STOP", -Integer(ENV.fetch("WORKER")))
      yield
    ensure
      Process.kill("CONT", -Integer(ENV.fetch("WORKER")))
    end
    def told(user)
      600.times { user.vidcache_decision.reason == :agreed && queued.empty? ? break : sleep(0.1) }
      emails = JSON.parse(Net::HTTP.get(URI(ENV.fetch("HUBSPOT_API") + "/_double/state"))).fetch("contacts").map { |contact| contact["email"] }
      puts "told: \#{user.email} \#{emails.join(" ")} \#{user.vidcache_decision.reason}"
    end
    user = User.create!(email: "ann@shop.test")
    told(user)
  RUBY

  CHANGES = <<~RUBY
    User.transaction { user.update!(email: "never@shop.test"); raise ActiveRecord::Rollback }
    user.reload
    puts "rolled back: \#{queued.size}"
    still do
      User.transaction { user.update!(email: "new@shop.test"); puts "before the commit: \#{queued.size}" }
      rows = queued
      puts "after it: \#{rows.size}", "with an email: \#{rows.grep(/shop.test|new@|ann@/).size}"
    end
    told(user)

    still { user.update!(email: "third@shop.test"); %s }
    sleep QUIET + 0.1
    puts "lost: \#{user.vidcache_decision.reason}"
    User.retry_email_changes(older_than: 0)
    told(user)

    http = Net::HTTP.new(URI(ENV.fetch("HUBSPOT_API")).host, URI(ENV.fetch("HUBSPOT_API")).port)
    http.put("/_double/config", JSON.generate(outages: [{ status: 503 }]), "Content-Type" => "application/json")
    user.update!(email: "fourth@shop.test")
    told(user)
    user.update!(email: "fifth@shop.test")
    user.destroy!
    300.times { queued.empty? ? break : sleep(0.1) }
    puts "of a row that is gone: \#{queued.size}"
  RUBY

  SAID = <<~TEXT
    told: ann@shop.test ann@shop.test agreed
    rolled back: 0
    before the commit: 0
    after it: 1
    with an email: 0
    told: new@shop.test new@shop.test agreed
    lost: change_outstanding
    told: third@shop.test third@shop.test agreed
    told: fourth@shop.test fourth@shop.test agreed
    of a row that is gone: 0
  TEXT

  def setup
    @processes = Processes.new
  end

  def teardown
    @processes.stop_all
  end

  { delayed_job: AppQueue::DELAYED_JOB, good_job: AppQueue::GOOD_JOB, solid_queue: AppQueue::SOLID_QUEUE, que: AppQueue::QUE }.each do |name, queue|
    define_method(:"test_#{name}_keeps_a_change_until_its_time_and_whatever_is_lost_is_found_again") do
      start(queue)
      assert_equal SAID, said(queue, CHANGES % queue.lose)
    end
  end

  # A worker that forks for each job has the file open already: every answer below was recorded in such a child.
  def test_resque_which_has_no_job_for_later_says_so_and_a_reconcile_tells_hubspot
    start(AppQueue::RESQUE)
    log = File.read(@app.file("log/production.log"))
    assert_equal [1, 0], [log.scan(LACKS).size, log.scan("cannot be used").size], log
    assert_equal <<~TEXT, said(AppQueue::RESQUE, <<~RUBY)
      told: ann@shop.test ann@shop.test agreed
      after it: 0 change_outstanding
      told: new@shop.test new@shop.test agreed
      performed by the task: told
    TEXT
      user.update!(email: "new@shop.test")
      puts "after it: \#{queued.size} \#{user.vidcache_decision.reason}"
      sleep QUIET + 0.1
      User.retry_email_changes(older_than: 0)
      told(user)
      user.update!(email: "third@shop.test")
      sleep QUIET + 0.1
      Vidcache::TaskQueue.around(User, StringIO.new) { User.retry_email_changes(older_than: 0) }
      puts "performed by the task: \#{user.vidcache_decision.reason == :agreed ? "told" : "not told"}"
    RUBY
    assert_equal 1, File.read(@app.file("log/production.log")).scan(/a job was not enqueued.*#{LACKS}/).size
  end

  LACKS = "config.active_job.queue_adapter is :resque, which cannot keep a job for later without the gem resque-scheduler"

  private

  def start(queue)
    skip queue.missing if queue.missing
    skip HubspotDouble.missing if HubspotDouble.missing
    folder = Dir.mktmpdir("queue-", SCRATCH)
    @double = HubspotDouble.new(@processes, folder, delay_ms: 0)
    @environment = { HUBSPOT_API: @double.url, **queue.environment(@processes, folder) }
    @app = AppFolder.new(folder)
    @app.write("config/initializers/boot.rb", "#{queue.initializer}\n#{BOOT}")
    @app.adopt
    application = AppFolder::FILES.fetch("config/application.rb")
    application = application.sub("queue_adapter = :async", "queue_adapter = :#{queue.adapter}")
    @app.write("config/application.rb", application.sub('require "vidcache"') { |line| "require #{queue.library.inspect}\n#{line}" })
    queue.files.each { |name, text| @app.write(name, text) }
    @app.run(<<~RUBY, **@environment)
      require "./config/environment"
      ActiveRecord::Schema.verbose = ActiveRecord::Migration.verbose = false
      ActiveRecord::Schema.define do
        create_table(:users) { |t| t.string :email } unless table_exists?(:users)
        #{queue.tables}
      end
    RUBY
    @worker = @app.start(@processes, *queue.worker, log: "log/worker.log", **@environment)
    @processes.wait(@worker, seconds: 120) { Dir[@app.file("storage/*.vidcache")].any? }
  end

  def said(queue, script)
    @app.run((COMMON % queue.waiting) + script, WORKER: @worker, **@environment).gsub(/^(?!told|rolled|before|after|with|lost|of|performed).*\n/, "")
  rescue RuntimeError => e
    raise "#{e.message}\n#{File.read(@app.file("log/worker.log")).lines.last(20).join}"
  end
end
