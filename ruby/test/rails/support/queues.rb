# frozen_string_literal: true

require_relative "checkouts"
require_relative "postgres"

# Queues of Active Job's other than Sidekiq, each as its own documentation has it: what it needs, the app's initializer,
# its tables, the worker, and how to look at what waits in it and to lose that.
class AppQueue
  attr_reader :adapter, :library, :initializer, :tables, :worker, :files, :waiting, :lose

  # @param adapter [Symbol]
  # @param gems [Array<String>]
  # @param library [String] what the app requires, as Bundler does
  # @param server [:postgres, :redis, nil] a PostgreSQL for the app and its queue, or a Redis beside the app's SQLite,
  #   or that SQLite for both
  # @param worker [Array<String>] the command
  # @param waiting [String] Ruby: the rows of jobs that are not done
  # @param lose [String] Ruby: takes them away
  def initialize(adapter:, gems:, worker:, waiting:, lose:, library: adapter.to_s, initializer: "", server: :postgres, tables: "", files: {})
    @adapter = adapter
    @gems = gems
    @library = library
    @server = server
    @initializer = initializer
    @worker = worker
    @waiting = waiting
    @lose = lose
    @tables = tables
    @files = files
  end

  # Rows of a table of the app's own database.
  def self.rows(table, where = "1 = 1")
    { waiting: "ActiveRecord::Base.connection.select_all('SELECT * FROM #{table} WHERE #{where}').to_a.map(&:to_json)",
      lose: "ActiveRecord::Base.connection.execute('DELETE FROM #{table} WHERE #{where}')" }
  end

  # @return [String, nil] why it cannot be tried here
  def missing
    server = { postgres: PostgresServer, redis: RedisServer }[@server]
    Checkouts.missing(*@gems) || server&.missing || (missing_of_ruby if @gems.include?("solid_queue"))
  end

  # @return [Hash] of the processes' environment
  def environment(processes, folder)
    case @server
    when :redis then { REDIS_URL: RedisServer.start(processes, folder) }
    when :postgres then { DATABASE_URL: PostgresServer.get.database }
    else {}
    end
  end

  private

  def missing_of_ruby
    "solid_queue needs Rails 7.1 and Ruby 3.2" if Rails.gem_version < Gem::Version.new("7.1") || RUBY_VERSION < "3.2"
  end

  RAKEFILE = "require_relative 'config/application'\nRails.application.load_tasks\n"
  private_constant :RAKEFILE

  DELAYED_JOB = new(
    adapter: :delayed_job, gems: %w[delayed_job_active_record],
    library: "delayed_job_active_record", initializer: "Delayed::Worker.sleep_delay = 0.1",
    tables: <<~RUBY,
      create_table(:delayed_jobs) do |t|
        t.integer :priority, :attempts, default: 0, null: false
        t.text :handler, :last_error
        t.datetime :run_at, :locked_at, :failed_at
        t.string :locked_by, :queue
        t.timestamps null: true
      end
    RUBY
    files: { "Rakefile" => "#{RAKEFILE}require 'delayed/tasks'\n" }, worker: %w[rake jobs:work], **rows("delayed_jobs")
  )

  GOOD_JOB = new(
    adapter: :good_job, gems: %w[good_job fugit],
    tables: <<~'RUBY',
      template = Dir["#{$LOAD_PATH.find { |path| File.exist?("#{path}/good_job.rb") }}/generators/good_job/templates/install/migrations/*.erb"].first
      migration_version = "[6.1]"
      Object.class_eval(ERB.new(File.read(template)).result(binding))
      CreateGoodJobs.migrate(:up)
    RUBY
    worker: ["ruby", "-e", "$PROGRAM_NAME = 'good_job'; require './config/environment'; GoodJob::CLI.start(%w[start --poll-interval=1])"],
    **rows("good_jobs", "finished_at IS NULL")
  )

  SOLID_QUEUE = new(
    adapter: :solid_queue, gems: %w[solid_queue fugit], server: nil,
    tables: <<~'RUBY',
      load "#{$LOAD_PATH.find { |path| File.exist?("#{path}/solid_queue.rb") }}/generators/solid_queue/install/templates/db/queue_schema.rb"
    RUBY
    files: {
      "config/queue.yml" => "production: { dispatchers: [{ polling_interval: 0.1 }], workers: [{ queues: '*', threads: 2, polling_interval: 0.1 }] }",
      "bin/jobs" => "require_relative '../config/environment'\nrequire 'solid_queue/cli'\nSolidQueue::Cli.start(ARGV)\n"
    },
    worker: %w[ruby bin/jobs start], **rows("solid_queue_jobs", "finished_at IS NULL")
  )

  QUE = new(
    adapter: :que, gems: %w[que],
    tables: "Que.connection = ActiveRecord\nQue.migrate!(version: 7)\n",
    worker: ["ruby", "-e", "$PROGRAM_NAME = 'que'; require 'que/command_line_interface'; exit Que::CommandLineInterface.parse(args: " \
                           "%w[-i 0.2 ./config/environment.rb], output: $stdout)"],
    **rows("que_jobs", "finished_at IS NULL AND expired_at IS NULL")
  )

  # Alone, so without jobs for later; each job in a process that the worker forks for it.
  RESQUE = new(
    adapter: :resque, gems: %w[resque mono_logger redis-namespace], server: :redis,
    initializer: <<~RUBY,
      Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)
      Resque.redis = Redis.new(url: ENV.fetch("REDIS_URL"))
    RUBY
    files: { "Rakefile" => "#{RAKEFILE}require 'resque/tasks'\ntask 'resque:setup' => :environment\n" },
    worker: %w[rake resque:work QUEUE=* INTERVAL=0.1],
    waiting: "Resque.redis.lrange('queue:default', 0, -1)", lose: "Resque.redis.del('queue:default')"
  )
end
