# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# Whose contact was erased for privacy is made none again, until the app says so.
class Vidcache::ErasedUsersTest < Vidcache::RailsTest
  include PortalJobs

  def test_a_reconcile_makes_no_contact_for_them_under_whichever_email
    user = erased_user
    reconcile
    user.update_columns(email: "ann@new.test")
    reconcile
    reconcile(create: true)
    assert_empty @portal.emails
    assert_nil linked(user)
    assert_equal %i[privacy_deletion not_linked], [@cache.refusal(user.id), reason(user)]
  end

  def test_a_change_of_theirs_ends_and_tells_hubspot_nothing
    user = erased_user
    user.update!(email: "ann@new.test")
    drain
    assert_equal [[], []], [@portal.calls, outstanding]
    assert_equal [Vidcache::Refused], @reported.map(&:class)
    refute_match(/ann@/, @reported.map(&:message).join)
  end

  def test_a_job_of_the_app_s_own_is_told_that_none_is_due
    user = erased_user
    user.update!(email: "ann@new.test")
    refute user.hubspot_email_due?(user.vidcache_change)
    refute user.hubspot_email_due?(nil)
  end

  def test_a_change_that_was_on_its_way_tells_nothing_either
    user = signed_up
    user.update!(email: "ann@new.test")
    erase(user)
    @portal.calls.clear
    drain
    assert_equal [[], [], nil], [@portal.calls, @portal.emails, linked(user)]
  end

  def test_the_app_makes_them_a_contact_by_forgetting_that_they_were_erased
    user = erased_user
    @cache.forget(user.id)
    user.update!(email: "ann@new.test")
    drain
    assert_equal [["ann@new.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_or_by_linking_them
    user = erased_user
    @cache.link(user.id, @portal.add("form@shop.test"))
    user.update!(email: "ann@new.test")
    drain
    assert_equal [["ann@new.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_a_new_row_with_the_same_key_is_somebody_else
    user = erased_user
    User.where(id: user.id).delete_all
    User.create!(id: user.id, email: "bob@shop.test")
    assert_equal [Vidcache::KeyReused], @reported.map(&:class)
    drain
    assert_equal ["bob@shop.test"], @portal.emails
  end

  private

  def erased_user
    user = signed_up
    erase(user)
    @portal.calls.clear
    user
  end

  # As HubSpot tells of it.
  def erase(user)
    vid = linked(user)
    @portal.delete(vid)
    event = { portalId: 62_515, occurredAt: (Time.now.to_f * 1000).to_i, subscriptionType: "contact.privacyDeletion", objectId: vid }
    @cache.apply_webhook(JSON.generate([event]))
    assert_nil linked(user)
  end
end
