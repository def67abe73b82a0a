# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# Links come back by reading, and never by creating: whom a job does not find, HubSpot may have
# under an email that went with a lost file or a lost job.
class Vidcache::ContactJobNeverByCreatingTest < Vidcache::RailsTest
  include PortalJobs

  def test_a_later_change_after_the_file_and_the_first_one_s_job_were_lost_makes_no_second_contact
    user = signed_up("one@shop.test")
    user.update!(email: "two@shop.test")
    lose_the_file
    jobs.clear
    user.update!(email: "four@shop.test")
    drain
    assert_equal [["one@shop.test"], 1, [Vidcache::ContactMissing]], [@portal.emails, outstanding.size, @reported.map(&:class)]
    reconcile(create: true)
    assert_equal [%w[four@shop.test one@shop.test], :agreed], [@portal.emails, reason(user)], "the app said so"
  end

  def test_a_retry_does_not_know_the_email_before_and_makes_no_contact
    user = User.create!(email: "three@shop.test")
    lose(:create)
    perform_next
    user.update!(email: "four@shop.test")
    jobs.clear
    wait_for_leases
    reconcile
    assert_equal [["three@shop.test"], 1], [@portal.emails, outstanding.size]
    reconcile
    assert_equal ["three@shop.test"], @portal.emails, "nor does a later one"
  end

  def test_a_retry_of_who_was_linked_makes_none_either
    user = signed_up
    @portal.delete(linked(user))
    form = @portal.add("ann@shop.test")
    user.update!(email: "new@shop.test")
    jobs.clear
    sleep 0.05
    User.retry_email_changes(older_than: 0)
    drain
    assert_equal [["ann@shop.test"], 1], [@portal.emails, outstanding.size]
    @portal.update(form, "new@shop.test")
    User.retry_email_changes(older_than: 0)
    drain
    assert_equal [["new@shop.test"], form, :agreed], [@portal.emails, linked(user), reason(user)], "it is found as soon as it can be"
  end

  def test_reconcile_after_a_lost_file_leaves_the_person_to_the_change_s_own_job
    user = signed_up("one@shop.test")
    vid = linked(user)
    user.update!(email: "two@shop.test")
    own = jobs.shift
    lose_the_file
    reconcile
    assert_equal ["one@shop.test"], @portal.emails
    jobs << own
    perform_next
    Time.stub(:now, -> { Time.at(Process.clock_gettime(Process::CLOCK_REALTIME) + 3605) }) { drain }
    assert_equal [["two@shop.test"], vid, :agreed], [@portal.emails, linked(user), reason(user)]
  end

  def test_reconcile_finds_the_others_by_their_email
    user = signed_up
    vid = linked(user)
    lose_the_file
    reconcile
    assert_equal [vid, :agreed, [:read_by_email]], [linked(user), reason(user), calls - [:create]]
  end

  def test_a_sign_up_whose_job_was_lost_has_a_contact_made
    user = User.create!(email: "ann@shop.test")
    jobs.clear
    reconcile
    assert_equal [["ann@shop.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_a_sign_up_s_job_makes_a_contact_after_the_file_was_lost_and_makes_none_when_it_comes_again
    user = User.create!(email: "one@shop.test")
    sign_up = jobs.first.dup
    lose_the_file
    drain
    assert_equal [["one@shop.test"], :agreed], [@portal.emails, reason(user)]
    user.update!(email: "two@shop.test")
    lose_the_file
    jobs.unshift(sign_up)
    perform_next
    assert_equal ["one@shop.test"], @portal.emails
  end

  def test_none_is_made_of_a_row_that_is_older_than_the_file_or_says_nothing_of_its_age
    [Time.now - 86_400, nil].each_with_index do |created_at, n|
      user = User.create!(email: "ann#{n}@shop.test")
      user.update_columns(created_at: created_at)
      jobs.clear
      reconcile
      assert_empty @portal.emails
    end
    reconcile(create: true)
    assert_equal %w[ann0@shop.test ann1@shop.test], @portal.emails
  end

  def test_nor_of_one_who_signed_up_long_ago_and_may_have_been_erased
    Vidcache.settings.define_singleton_method(:born_at) { Time.now - (30 * 86_400) }
    user = User.create!(email: "ann@shop.test", created_at: Time.now - (8 * 86_400))
    jobs.clear
    reconcile
    assert_empty @portal.emails
    user.update_columns(created_at: Time.now - (6 * 86_400))
    reconcile
    assert_equal ["ann@shop.test"], @portal.emails
  end

  def test_a_job_that_cannot_read_what_it_kept_makes_none
    User.create!(email: "ann@shop.test").update_columns(created_at: nil)
    jobs.first["vidcache"] = "nonsense"
    drain
    assert_empty @portal.emails
  end
end
