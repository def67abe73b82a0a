# frozen_string_literal: true

# Other people's code warns a lot; what is tested here may not. (`rake test` runs with -w.)
verbose = $VERBOSE
$VERBOSE = nil
require "logger"
require "rails"
require "active_record/railtie"
require "active_job/railtie"
require "action_controller/railtie"
require "action_view/railtie"
require "minitest/autorun"
$VERBOSE = verbose

require "tmpdir"
require "vidcache"
require "vidcache/railtie"
require_relative "../collector"
require_relative "support/store"

LOG = StringIO.new
SCRATCH = Dir.mktmpdir("vidcache-rails-")
Minitest.after_run { FileUtils.remove_entry(SCRATCH) }
DATABASE = TestStore.url(SCRATCH)

# The smallest app that has the railtie. What Rails does at boot is tested in processes of their own (boot_test.rb).
class TestApp < Rails::Application
  config.root = SCRATCH
  config.load_defaults 6.1
  config.eager_load = false
  config.logger = Logger.new(LOG)
  config.secret_key_base = "0" * 64
  config.active_job.queue_adapter = :test
  config.cache_store = :memory_store
  config.hosts.clear
  config.vidcache.when_unavailable = :raise # As it is outside development.
  config.vidcache.store = :database if TestStore.database?

  # Besides those of the other tests' controllers, which `draw` alone would take away.
  def self.add_routes(&block)
    routes.disable_clear_and_finalize = true
    routes.draw(&block)
    routes.finalize!
  ensure
    routes.disable_clear_and_finalize = false
  end
end

ENV["DATABASE_URL"] = DATABASE
verbose = $VERBOSE
$VERBOSE = nil
TestApp.initialize!
ActiveRecord::Base.establish_connection
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:users) do |t|
    t.string :name
    t.string :email, index: { unique: true }
    t.datetime :created_at
  end
  create_table(:people, id: false) do |t|
    t.string :uuid, primary_key: true
    t.string :mail
  end
end
TestStore.make_tables if TestStore.database?
$VERBOSE = verbose

class HubspotContactJob < ActiveJob::Base
  def perform(*); end
end

class OtherJob < HubspotContactJob; end

class User < ActiveRecord::Base
  attr_accessor :before, :after, :after_commit_hook

  before_update { before&.call(self) }
  has_vid email: :email, job: "HubspotContactJob"
  before_update { after&.call(self) }
  after_commit { after_commit_hook&.call }
end

class Person < ActiveRecord::Base
  self.primary_key = :uuid
  alias_attribute :contact_address, :mail

  has_vid email: :contact_address, key: :uuid, job: OtherJob
end

class Vidcache::RailsTest < Minitest::Test
  def setup
    @dir = Dir.mktmpdir("case-", SCRATCH)
    TestStore.empty
    @cache = TestStore.open(@dir)
    Vidcache.cache = @cache
    TestApp.config.vidcache.path = "#{@dir}/hubspot.vidcache"
    [User, Person].each(&:delete_all)
    jobs.clear
    LOG.truncate(0)
    Vidcache::Failure.seldom.clear # What was reported once in another test is reported once in this one.
    @reported = []
    @subscription = ActiveSupport::Notifications.subscribe("failure.vidcache") { |*, payload| @reported << payload[:error] }
  end

  def teardown
    ActiveSupport::Notifications.unsubscribe(@subscription)
    Vidcache.cache = nil
    TestApp.config.vidcache.path = nil
    @cache.close
  end

  private

  def with_options(**options)
    settings = Vidcache.settings
    before = TestApp.config.vidcache.dup
    Vidcache.settings = nil # As the app's configuration is at each moment.
    TestApp.config.vidcache.merge!(options)
    yield
  ensure
    TestApp.config.vidcache.replace(before)
    Vidcache.settings = settings
  end

  # Of a test of what only a file has, or only the tables.
  def only(store)
    skip "this is about the #{store}" if TestStore.database? != (store == :database)
  end

  # @return [Array<Hash>]
  def jobs
    ActiveJob::Base.queue_adapter.enqueued_jobs
  end

  # @return [Array<Integer, nil>] the tokens that the enqueued jobs carry
  def tokens
    jobs.map { |job| job["arguments"][1] }
  end

  # @return [Array<Integer>] the tokens of the changes that are outstanding
  def outstanding
    sleep 0.002 # The clock of the file counts milliseconds.
    @cache.stale_changes(older_than: 0).map(&:token).sort
  end

  # A user whom HubSpot knows by the email that they have.
  def agreed_user(email = "ann@shop.test")
    user = User.create!(email: email)
    confirm(user.id, email)
    jobs.clear
    user
  end

  def confirm(key, email, vid: 901, change: nil, at: Time.now)
    answer = { id: vid.to_s, properties: { email: email }, updatedAt: at.utc.iso8601(3), archived: false }
    @cache.record(key, answer, change: change)
  end

  def reason(user)
    user.vidcache_decision.reason
  end
end
