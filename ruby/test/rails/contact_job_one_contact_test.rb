# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# A person has one contact, whatever was lost and whatever HubSpot says.
class Vidcache::ContactJobOneContactTest < Vidcache::RailsTest
  include PortalJobs

  NOT_FOUND = Clients::ApiError.new(404, '{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}')

  def test_a_user_whom_hubspot_knows_by_the_email_before_is_found_by_it
    vid = @portal.add("old@shop.test")
    user = user_of_old("old@shop.test")
    user.update!(email: "new@shop.test")
    drain
    assert_equal [["new@shop.test"], vid, :agreed], [@portal.emails, linked(user), reason(user)]
  end

  def test_so_is_one_whose_former_email_the_file_cannot_have_and_the_email_is_in_no_job
    @portal.add("old@shop.test")
    user = user_of_old("old@shop.test")
    user.update!(email: "new@shop.test")
    refute_match(/old@|new@|shop\.test/, jobs.first.except(:job).to_s)
    assert_equal [user.to_global_id.to_s, user.vidcache_change], [jobs.first["arguments"][0].values.first, jobs.first["arguments"][1]]
    data = jobs.first
    other = Vidcache::ContactJob::Memory.open(data["vidcache"], user.id + 1)
    assert_empty other.formerly, "it is bound to the user"
    assert_equal 1, @reported.size
    assert_equal ["old@shop.test"], Vidcache::ContactJob::Memory.open(data["vidcache"], user.id).formerly
  end

  def test_what_a_job_keeps_is_read_after_the_secret_was_rotated
    with_options(secret: "s" * 32) { @sealed = sealed("old@shop.test") }
    with_options(secret: "t" * 32, old_secrets: ["s" * 32]) { assert_equal ["old@shop.test"], opened(@sealed).formerly }
    with_options(secret: "t" * 32) { assert_empty opened(@sealed).formerly }
  end

  def test_a_job_of_a_version_that_kept_nothing_still_runs
    user = signed_up
    user.update!(email: "new@shop.test")
    jobs.first.delete("vidcache")
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_a_contact_that_came_back_through_a_form_is_found
    user = signed_up
    @portal.delete(linked(user))
    form = @portal.add("ann@shop.test")
    user.update!(email: "new@shop.test")
    drain
    assert_equal [["new@shop.test"], form, :agreed], [@portal.emails, linked(user), reason(user)]
  end

  def test_a_contact_that_was_merged_away_is_followed
    user = signed_up
    merged = @portal.merge(linked(user), @portal.add("other@shop.test"))
    user.update!(email: "new@shop.test")
    drain
    assert_equal [["new@shop.test"], merged], [@portal.emails, linked(user)]
  end

  def test_of_two_users_whose_contacts_were_merged_without_a_webhook_the_second_is_told_at_once_too
    ann = signed_up
    bob = signed_up("bob@shop.test")
    merged = @portal.merge(linked(ann), linked(bob))
    @portal.update_follows = true
    ann.update!(email: "ann@new.test")
    drain
    assert_equal [merged, :agreed], [linked(ann), reason(ann)]
    bob.update!(email: "bob@new.test")
    perform_next
    assert_empty jobs, "nobody has to let it go: the contact is both users'"
    assert_equal [merged, merged, ["bob@new.test"]], [linked(ann), linked(bob), @portal.emails]
    assert_empty outstanding
    assert_equal %i[agreed email_differs], [reason(bob), reason(ann)], "as of any contact that is shared"
    assert_empty @cache.conflicts
  end

  def test_what_was_answered_by_another_user_s_contact_without_a_merge_waits_for_that_one
    ann = signed_up
    bob = signed_up("bob@shop.test")
    bob.update!(email: "bob@new.test")
    @portal.answer_with(:update, { id: linked(ann).to_s, properties: { email: "bob@new.test" }, updatedAt: Time.now.utc.iso8601(3) })
    perform_next
    assert_equal 1, jobs.size, "it is tried again"
    drain
    assert_equal %w[ann@shop.test bob@new.test], @portal.emails
    assert_equal :agreed, reason(bob)
  end

  def test_a_404_that_passes_makes_no_contact
    user = signed_up
    user.update!(email: "new@shop.test")
    @portal.answer_with(:update, NOT_FOUND)
    @portal.answer_with(:read, NOT_FOUND)
    @portal.answer_with(:read_by_email, NOT_FOUND, NOT_FOUND)
    drain
    assert_equal [["new@shop.test"], 1], [@portal.emails, calls.count(:create)]
  end

  def test_only_a_second_later_look_that_finds_nobody_makes_a_contact
    user = signed_up
    @portal.delete(linked(user))
    user.update!(email: "new@shop.test")
    @portal.calls.clear
    perform_next
    assert_equal [%i[update read read_by_email read_by_email], 1], [calls, jobs.size]
    assert_operator jobs.first[:at], :>, Time.now.to_f + 1
    drain
    assert_equal [["new@shop.test"], 1, :agreed], [@portal.emails, calls.count(:create), reason(user)]
  end

  def test_a_sign_up_whose_answer_was_lost_is_found_by_the_email_that_was_put_right
    user = User.create!(email: "ann@tpyo.test")
    lose(:create)
    perform_next
    user.update!(email: "ann@typo.test")
    wait_for_leases
    drain
    assert_equal [["ann@typo.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_so_it_is_where_the_change_s_own_job_comes_first
    user = User.create!(email: "ann@tpyo.test")
    lose(:create)
    perform_next
    user.update!(email: "ann@typo.test")
    jobs.rotate!
    wait_for_leases
    drain
    assert_equal [["ann@typo.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_so_it_is_where_the_first_job_was_killed_and_comes_again_as_it_was_enqueued
    user = User.create!(email: "ann@tpyo.test")
    first = jobs.first.dup
    lose(:create)
    perform_next
    jobs.clear
    user.update!(email: "ann@typo.test")
    jobs.unshift(first)
    wait_for_leases
    drain
    assert_equal [["ann@typo.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_a_correction_that_no_change_tells_of_is_no_second_contact
    user = User.create!(email: "ann@tpyo.test")
    lose(:create)
    perform_next
    user.update_columns(email: "ann@typo.test")
    wait_for_leases
    drain
    assert_equal ["ann@tpyo.test"], @portal.emails
    assert_equal :email_differs, reason(User.find(user.id))
  end

  def test_two_changes_of_a_user_of_old_wait_for_the_one_that_knows_the_first_email
    @portal.add("one@shop.test")
    user = user_of_old("one@shop.test")
    user.update!(email: "two@shop.test")
    user.update!(email: "three@shop.test")
    jobs.rotate!
    drain
    assert_equal [["three@shop.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_a_change_whose_create_lost_its_answer_before_the_next_change
    user = user_of_old("one@shop.test")
    user.update!(email: "two@shop.test")
    perform_next # Nobody is found ...
    lose(:create)
    perform_next # ... twice, so a contact is made.
    user.update!(email: "three@shop.test")
    wait_for_leases
    drain
    assert_equal [["three@shop.test"], :agreed], [@portal.emails, reason(user)]
  end

  # What a column of the app's has, where its model says so.
  def test_a_user_whose_contact_the_app_knows_is_linked_by_reading_it
    user = user_of_old("ann@shop.test")
    vid = @portal.add("else@shop.test")
    user.define_singleton_method(:vidcache_known_vid) { vid }
    job = PortalJobs::Job.new(user, nil)
    job.perform(user, nil)
    assert_equal [[[:read, vid]], vid], [@portal.calls, linked(user)]
    assert_equal ["else@shop.test"], @portal.emails, "without a change nothing is told of a person whom HubSpot knows"
  end

  def test_a_former_email_that_is_another_user_s_contact_s_is_left_to_them
    bob = signed_up("bob@shop.test")
    user = user_of_old("ann@shop.test")
    user.update!(email: "new@shop.test")
    jobs.first["vidcache"] = sealed("bob@shop.test", user)
    drain
    assert_equal [%w[bob@shop.test new@shop.test], :agreed, :agreed], [@portal.emails, reason(bob), reason(user)]
  end

  def test_an_email_that_another_user_lets_go_is_taken_over
    ann = signed_up("ann@shop.test")
    bob = signed_up("bob@shop.test")
    bob.update!(email: "robert@shop.test")
    ann.update!(email: "bob@shop.test")
    jobs.rotate!
    drain
    assert_equal [%w[bob@shop.test robert@shop.test], :agreed, :agreed], [@portal.emails, reason(ann), reason(bob)]
    assert_empty @reported
  end

  # As the library says that one should, when a conflict was reported. That a merged id is refused so is not on record.
  def test_a_conflict_that_somebody_merged_at_hubspot_is_over_with_the_next_try
    user = signed_up
    other = @portal.add("new@shop.test")
    user.update!(email: "new@shop.test")
    perform_next
    merged = @portal.merge(other, linked(user))
    @portal.answer_with(:update, Clients::ApiError.new(409))
    perform_next
    assert_equal [["new@shop.test"], merged, :agreed, []], [@portal.emails, linked(user), reason(user), jobs]
    assert_empty @reported
  end

  def test_two_users_who_swap_their_emails_end_careful_and_are_told_to_a_person
    ann = signed_up("ann@shop.test")
    bob = signed_up("bob@shop.test")
    ann.update!(email: "shelf@shop.test")
    bob.update!(email: "ann@shop.test")
    ann.update!(email: "bob@shop.test")
    drain
    assert_equal [%w[ann@shop.test bob@shop.test], :email_differs, :email_differs], [@portal.emails, reason(ann), reason(bob)]
    assert_equal [Vidcache::ContactConflict], @reported.map(&:class).uniq
    assert_operator calls(:update).size, :<=, 4 * Vidcache::ContactJob::ATTEMPTS
  end

  private

  # As one who was there before the app had this library.
  def user_of_old(email)
    User.create!(email: email).tap { jobs.clear }
  end

  def sealed(email, user = nil)
    memory = Vidcache::ContactJob::Memory.new({})
    memory.add(email)
    memory.seal(user ? user.id : 7)
  end

  def opened(sealed)
    Vidcache::ContactJob::Memory.open(sealed, 7)
  end
end
