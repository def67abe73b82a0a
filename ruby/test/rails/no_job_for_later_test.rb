# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"
require "active_job/queue_adapters/inline_adapter"

# Queues that have no job for later, as Resque without resque-scheduler: Active Job's error is no StandardError.
class Vidcache::NoJobForLaterTest < Vidcache::RailsTest
  include PortalJobs

  class AtOnce < ActiveJob::QueueAdapters::InlineAdapter
    def enqueue_at(*)
      raise NotImplementedError, "there is no scheduler"
    end
  end

  # By its name it is Active Job's own.
  module Named
    class InlineAdapter < AtOnce
    end
  end

  def setup
    super
    @user = signed_up
    @kept_in = Job.queue_adapter
    Job.queue_adapter = Named::InlineAdapter.new
  end

  def teardown
    Job.queue_adapter = @kept_in
    super
  end

  def test_the_save_is_kept_and_the_change_waits_for_a_reconcile
    @user.update!(email: "new@shop.test")
    @user.update!(email: "third@shop.test")
    assert_equal [:change_outstanding, [Vidcache::Error], "third@shop.test"], [reason(@user), @reported.map(&:class), @user.reload.email]
    assert_match(/is :inline, which cannot wait, so changes of email are told by the hourly/, @reported.first.message)
    sleep 0.03
    assert_equal 2, User.retry_email_changes(older_than: 0)
    assert_equal [:agreed, ["third@shop.test"]], [reason(@user), @portal.emails]
  end

  def test_a_job_that_came_too_early_or_failed_is_left_to_the_next_reconcile
    @user.update!(email: "new@shop.test")
    @reported.clear
    quiet_period(60)
    User.enqueue_vidcache_job(@user, @user.vidcache_change)
    assert_equal [Vidcache::ContactJob::NotYet], @reported.map(&:class)

    quiet_period(0.02)
    sleep 0.03
    lose(:update)
    error = assert_raises(IOError) { User.enqueue_vidcache_job(@user, @user.vidcache_change) }
    assert_equal "the connection was closed", error.message
    wait_for_leases
    User.enqueue_vidcache_job(@user, @user.vidcache_change)
    assert_equal [:agreed, ["new@shop.test"]], [reason(@user), @portal.emails]
  end

  def test_a_server_says_so_when_it_boots_and_so_does_the_check
    was = $0
    $0 = "puma"
    TestApp.config.vidcache.portal_id = 62_515
    TestApp.config.vidcache.access_token = "pat-1"
    Vidcache.settings = nil
    Vidcache::Keys.stub(:models, [User]) { Vidcache::Boot.look }
    assert_match(/\Aconfig.active_job.queue_adapter is :inline, which cannot wait/, @reported.map(&:message).join("\n"))
    assert_match(/cannot wait/, Vidcache::JobQueue.lacks(Job.queue_adapter))
    assert_match(/each restart loses them/, Vidcache::JobQueue.lacks(ActiveJob::QueueAdapters::AsyncAdapter.new))
    assert_nil Vidcache::JobQueue.lacks(@kept_in)
  ensure
    $0 = was
    TestApp.config.vidcache.portal_id = TestApp.config.vidcache.access_token = nil
  end
end
