# frozen_string_literal: true

require "timeout"
require_relative "helper"
require_relative "support/portal_job"

# One job of a user at a time, and no lock of the app's database while HubSpot is asked.
class Vidcache::ContactJobLeaseTest < Vidcache::RailsTest
  include PortalJobs

  def test_while_hubspot_is_asked_the_app_writes_what_it_likes
    user = signed_up
    user.update!(email: "new@shop.test")
    transactions = nil
    meanwhile = lambda do |*|
      transactions = ActiveRecord::Base.connection.open_transactions
      elsewhere { User.find(user.id).update!(name: "Ann") && User.create!(email: "bob@shop.test") }
    end
    @portal.define_singleton_method(:update) { |*arguments| meanwhile.call.then { super(*arguments) } }
    drain
    assert_equal [0, "Ann", :agreed], [transactions, user.reload.name, reason(user)]
  end

  def test_of_two_jobs_of_a_user_at_once_the_second_is_tried_again
    user = signed_up
    user.update!(email: "new@shop.test")
    data = jobs.shift
    at_once = false
    inside = 0
    @portal.define_singleton_method(:update) do |*arguments|
      at_once ||= (inside += 1) > 1
      sleep 0.1
      inside -= 1
      super(*arguments)
    end
    sleep 0.03
    Array.new(2) { Thread.new { elsewhere_here { PortalJobs::Job.perform_now(User.find(user.id), user.vidcache_change) } } }.each(&:join)
    assert_equal [false, 1, 1], [at_once, calls(:update).size, jobs.size]
    assert_equal [0, data["arguments"][1]], [jobs.first["executions"], jobs.first["arguments"][1]], "which is no try"
    drain
    assert_equal [1, :agreed], [calls(:update).size, reason(user)]
  end

  def test_a_process_that_dies_with_the_lease_holds_the_next_up_until_its_deadline
    user = signed_up
    user.update!(email: "new@shop.test")
    lease_of(1)
    Process.wait(fork do
      Vidcache::ContactJob::Lease.take(user.id) && Process.kill(:KILL, Process.pid)
    end)
    perform_next
    assert_equal [[], 1], [calls(:update), jobs.size]
    sleep 1
    perform_next
    assert_equal [%i[update], :agreed], [calls(:update), reason(user)]
  end

  def test_who_is_slower_than_the_lease_tells_hubspot_nothing
    user = signed_up
    user.update!(email: "new@shop.test")
    job = PortalJobs::Job.new(user, user.vidcache_change)
    lease_of(0.05)
    job.define_singleton_method(:vidcache_early) { |*| sleep(0.1) && nil }
    job.perform_now
    assert_empty calls(:update)
    assert_includes LOG.string, "ContactJob::NotYet"
    lease_of(60)
    drain
    assert_equal :agreed, reason(user)
  end

  def test_a_call_whose_answer_never_came_is_over_before_the_next_one_begins
    user = signed_up
    user.update!(email: "new@shop.test")
    lose(:update)
    perform_next
    perform_next
    assert_equal [1, 1], [calls(:update).size, jobs.first["executions"]]
    wait_for_leases
    drain
    assert_equal [2, :agreed], [calls(:update).size, reason(user)]
  end

  def test_an_answer_of_hubspot_s_or_no_connection_ends_the_lease_at_once
    user = signed_up
    user.update!(email: "new@shop.test")
    @portal.answer_with(:update, Clients::ApiError.new(500), Errno::ECONNREFUSED.new)
    3.times { perform_next }
    assert_equal [3, :agreed], [calls(:update).size, reason(user)]
  end

  def test_an_app_may_lock_in_a_way_of_its_own
    user = signed_up
    user.update!(email: "new@shop.test")
    job = PortalJobs::Job.new(user, user.vidcache_change)
    job.define_singleton_method(:exclusively) { |record, &block| record.with_lock(&block) }
    sleep 0.03
    @cache.lease(user.id, 60)
    job.perform_now
    assert_equal :agreed, reason(user)
  end

  # Between the beginning, which is in the file, and what the app knows of it.
  def test_a_change_whose_beginning_was_cut_off_is_found_and_ended
    only :file # In the database it is rolled back with everything else.
    [Timeout::Error, :kill].each_with_index do |cut, index|
      user = signed_up("ann#{index}@shop.test")
      join = Vidcache::Change.method(:join_transaction)
      cutting = ->(*) { cut == :kill ? Thread.current.kill : raise(cut) }
      Vidcache::Change.stub(:join_transaction, cutting) do
        Thread.new { elsewhere_here { User.find(user.id).update(email: "new@shop.test") rescue cut } }.join # rubocop:disable Style/RescueModifier
      end
      assert_equal [join.owner, "ann#{index}@shop.test", :change_outstanding], [Vidcache::Change.singleton_class, user.reload.email, reason(user)]
      sleep 0.03 # A change that was begun in this very millisecond is not yet older than "now".
      assert_equal [user.id.to_s], @cache.stale_changes(older_than: 0).map(&:user_id)
      assert_equal 1, User.retry_email_changes(older_than: 0)
      drain
      assert_equal :agreed, reason(user)
    end
  end

  # A Timeout that strikes at any moment of a save.
  def test_a_timeout_at_any_moment_of_a_save_leaves_no_change_that_nobody_knows
    user = signed_up
    60.times do |n|
      Timeout.timeout(0.0002 * n) { User.find(user.id).update!(email: "ann#{n}@shop.test") }
    rescue Timeout::Error, ActiveRecord::ActiveRecordError
      nil
    end
    jobs.clear
    sleep 0.03
    User.retry_email_changes(older_than: 0)
    drain(200)
    assert_equal [[user.reload.email], :agreed], [@portal.emails, reason(user)]
  end

  private

  def elsewhere(&block)
    Thread.new { elsewhere_here(&block) }.value
  end

  def elsewhere_here(&block)
    ActiveRecord::Base.connection_pool.with_connection(&block)
  end
end
