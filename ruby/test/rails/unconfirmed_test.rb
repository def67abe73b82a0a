# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# Who says that an address is theirs, and has not confirmed it, changes nothing at HubSpot.
class Vidcache::UnconfirmedTest < Vidcache::RailsTest
  include PortalJobs

  # Who has a name is confirmed.
  class Account < ActiveRecord::Base
    self.table_name = "users"
    has_vid prefix: "account-", if: :confirmed?, job: PortalJobs::Job

    def confirmed? = name.present?
  end

  def setup
    super
    @stranger = @portal.add("ceo@corp.test") # Of a form, and none of ours.
  end

  def test_a_strangers_contact_is_never_given_another_email_by_who_signs_up_as_them
    user = Account.create!(email: "ceo@corp.test")
    user.update!(email: "eve@shop.test")
    drain
    assert_equal [["ceo@corp.test"], nil, []], [@portal.emails, linked(user), calls]

    user.update!(name: "Eve") # She confirms the address that is hers.
    drain
    assert_equal %w[ceo@corp.test eve@shop.test], @portal.emails
    refute_equal @stranger, linked(user)
    user.update!(email: "eve@home.test")
    drain
    assert_equal %w[ceo@corp.test eve@home.test], @portal.emails
  end

  def test_nor_by_a_job_that_is_made_for_the_unlinked_or_that_was_on_its_way
    user = Account.create!(email: "ceo@corp.test")
    Vidcache::Backfill.new(Account, output: StringIO.new).run
    Account.enqueue_vidcache_job(user, nil, creates: true)
    drain
    assert_equal [nil, ["ceo@corp.test"]], [linked(user), @portal.emails]

    user.update!(name: "The CEO")
    user.update!(email: "eve@shop.test", name: nil)
    drain # The job of the confirmation was on its way.
    assert_equal [nil, ["ceo@corp.test"]], [linked(user), @portal.emails]
  end

  def test_nor_where_the_contact_was_linked_by_hand_before_the_address_was_confirmed
    user = Account.create!(email: "ceo@corp.test")
    @cache.link(user.vidcache_key, @stranger)
    user.update!(email: "eve@shop.test")
    Account.retry_email_changes(older_than: 0)
    drain
    assert_equal ["ceo@corp.test"], @portal.emails
  end

  private

  def linked(user)
    @cache.resolve(user.vidcache_key)
  end
end
