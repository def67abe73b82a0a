# frozen_string_literal: true

require "minitest/mock"
require_relative "portal"

# A job on a portal in memory, and a queue that the test drains: each job when the test says, waits left out.
module PortalJobs
  class Job < Vidcache::ContactJob
    cattr_accessor :portal

    private

    %i[update create read read_by_email].each { |name| define_method(name) { |*arguments| portal.public_send(name, *arguments) } }
  end

  def setup
    super
    Job.portal = @portal = Portal.new
    @own_job = User.vidcache_job
    User.vidcache_job = Job
    quiet_period(0.02)
  end

  def teardown
    User.vidcache_job = @own_job
    lease_of(60)
    Vidcache.settings = nil
    super
  end

  private

  def quiet_period(seconds)
    settings = Vidcache::Settings.new(TestApp.instance)
    settings.define_singleton_method(:quiet_period) { seconds }
    Vidcache.settings = settings
  end

  def lease_of(seconds)
    lease = Vidcache::ContactJob::Lease
    lease.send(:remove_const, :SECONDS)
    lease.const_set(:SECONDS, seconds)
  end

  # HubSpot does what the next such call says, and its answer never comes: its lease runs out. In no other test is it so
  # short, since it would end while a busy machine's job is still at it, which then tells nobody.
  def lose(call)
    lease_of(0.3)
    @portal.lose(call)
  end

  # After a call whose answer was lost.
  def wait_for_leases
    sleep 0.35
  end

  # Runs the job that was enqueued first, as a queue would: from what was written down of it.
  def perform_next
    data = jobs.shift
    sleep 0.025
    ActiveJob::Base.execute(data.slice(*data.keys.grep(String)))
  end

  def drain(most = 40)
    most.times { jobs.empty? ? break : perform_next }
    assert_empty jobs, "jobs that never end"
    refute_match(/due to an? (NoMethod|Name|Argument|Type)Error/, LOG.string)
  end

  def calls(*names)
    @portal.calls.map(&:first).select { |name| names.empty? || names.include?(name) }
  end

  def signed_up(email = "ann@shop.test")
    User.create!(email: email).tap { drain }
  end

  def linked(user)
    @cache.resolve(user.id)
  end

  # What the hourly task does for users without a contact, and for changes whose job was lost.
  def reconcile(create: false)
    sleep 0.05
    User.retry_email_changes(older_than: 0, create: create)
    Vidcache::Reconcile.new(User, grace: 0, create: create).find_unlinked
    drain
  end

  # @yield while there is none
  def lose_the_file
    @cache.close
    TestStore.database? ? TestStore.empty : FileUtils.rm(Dir["#{@dir}/hubspot.vidcache*"])
    yield if block_given?
    open_anew
  end

  def open_anew
    @cache = Vidcache.cache = TestStore.open(@dir)
  end

  # The job's clock alone: what the file says is younger still.
  def in_an_hour(&block)
    Time.stub(:now, -> { Time.at(Process.clock_gettime(Process::CLOCK_REALTIME) + 3605) }, &block)
  end
end
