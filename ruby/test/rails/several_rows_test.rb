# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# Several rows that are one person, and rows that a default scope hides.
class Vidcache::SeveralRowsTest < Vidcache::RailsTest
  include PortalJobs

  class SharingJob < PortalJobs::Job
    private

    def share_contact?(user, vid)
      Vidcache.cache.users_of(vid).any? { |key| Login.find(key.delete_prefix("login-")).name == user.name }
    end
  end

  # Of a shop each, with the person's name.
  class Login < ActiveRecord::Base
    self.table_name = "people"
    self.primary_key = :uuid
    alias_attribute :name, :mail
    has_vid email: :address, key: :uuid, prefix: "login-", told_by: :app, job: SharingJob

    cattr_accessor(:addresses) { {} }
    def address = addresses[uuid]
  end

  # Whoever is named is not deleted.
  class Hidden < ActiveRecord::Base
    self.table_name = "users"
    default_scope { where.not(name: "deleted") }
    has_vid prefix: "hidden-", job: PortalJobs::Job
  end

  def setup
    super
    Login.delete_all
    Login.addresses.clear
  end

  def test_two_rows_with_one_email_are_a_conflict_unless_the_job_says_that_they_share_the_contact
    ann = login("a", "Ann", "ann@shop.test")
    other = login("b", "Ann", "ann@shop.test")
    eve = login("c", "Eve", "ann@shop.test")
    assert_equal [@cache.resolve(ann.vidcache_key)] * 2, [ann, other].map { |row| @cache.resolve(row.vidcache_key) }
    assert_equal %i[agreed agreed not_linked], [ann, other, eve].map { |row| row.vidcache_decision.reason }

    Login.transaction { ann.hubspot_email_will_change! && Login.addresses["a"] = "new@shop.test" }
    assert_equal %i[change_outstanding change_outstanding], [ann, other].map { |row| row.vidcache_decision.reason }
    drain
    assert_equal %i[agreed email_differs], [ann, other].map { |row| row.vidcache_decision.reason }
    assert_equal ["new@shop.test"], @portal.emails
  end

  # The other one's pages from just before may name its email.
  def test_a_change_of_who_comes_to_share_a_contact_waits_for_the_other_ones_pages
    login("a", "Ann", "ann@shop.test")
    Login.addresses["b"] = "ann@shop.test"
    other = Login.create!(uuid: "b", mail: "Ann")
    jobs.clear
    Login.transaction { other.hubspot_email_will_change! && Login.addresses["b"] = "new@shop.test" }
    perform_next
    assert_equal [[], 1, ["ann@shop.test"]], [calls(:update), jobs.size, @portal.emails], "the two share it from now on"
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, other.vidcache_decision.reason]
  end

  def test_a_lost_job_of_a_row_that_is_hidden_is_found_again
    user = Hidden.create!(email: "ann@shop.test")
    drain
    user.update!(name: "deleted", email: "deleted-1@shop.test") # Made nameless, as laws ask.
    jobs.clear
    sleep 0.03
    assert_equal 1, Hidden.retry_email_changes(older_than: 0)
    drain
    assert_equal ["deleted-1@shop.test"], @portal.emails
  end

  private

  def login(uuid, name, address)
    Login.addresses[uuid] = address
    Login.create!(uuid: uuid, mail: name).tap { drain }
  end
end
