# frozen_string_literal: true

require_relative "helper"

# `has_vid if:`: an address that nobody has confirmed is used by no page and no job.
class Vidcache::ConditionTest < Vidcache::RailsTest
  # Who has a name is confirmed.
  class Signup < ActiveRecord::Base
    self.table_name = "users"
    attr_accessor :late

    has_vid prefix: "signup-", if: :confirmed?, job: "HubspotContactJob"
    before_update { self.name = late if late }

    private

    def confirmed? = name.present?
  end

  class Quick < Signup
    has_vid prefix: "quick-", if: ->(user) { user.name == "yes" }
  end

  class Quicker < Signup
    has_vid prefix: "quicker-", if: -> { name == "yes" }
  end

  def test_who_is_not_confirmed_is_told_to_nobody
    user = Signup.create!(email: "ceo@shop.test")
    assert_empty jobs
    assert_nil user.vidcache_email
    refute user.hubspot_email_due?(nil)
    confirm("signup-#{user.id}", "ceo@shop.test") # Whoever else said so.
    assert_equal :email_absent, reason(user)
  end

  def test_once_the_answer_is_yes_the_change_is_begun_and_its_job_waits
    user = Signup.create!(email: "ann@shop.test")
    user.update!(name: "Ann")
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
    assert_in_delta Time.now.to_f + 15, jobs.first[:at], 2
    assert user.hubspot_email_due?(tokens.first)
    user.update!(name: "Ann Smith")
    assert_equal 1, tokens.size, "it was yes before"
  end

  def test_a_confirmation_that_rolls_back_abandons_it
    user = Signup.create!(email: "ann@shop.test")
    Signup.transaction { user.update!(name: "Ann") && raise(ActiveRecord::Rollback) }
    assert_empty outstanding
    assert_empty jobs
  end

  def test_a_callback_declared_later_that_confirms_is_seen_too
    user = Signup.create!(email: "ann@shop.test")
    user.late = "Ann"
    user.save!
    assert_equal [["Ann"], 1], [Signup.where(id: user.id).pluck(:name), tokens.size]
    assert_equal outstanding, tokens
  end

  def test_a_new_address_that_is_not_confirmed_yet_reaches_neither_hubspot_nor_a_page
    user = Signup.create!(email: "ann@shop.test", name: "Ann")
    assert_equal [nil], tokens
    confirm(user.vidcache_key, user.email)
    assert_equal :agreed, reason(user)
    jobs.clear

    user.update!(email: "ceo@shop.test", name: nil)
    assert_equal [:email_absent, []], [reason(user), jobs]
    user.update!(email: "boss@shop.test")
    assert_empty jobs
    user.update!(name: "Ann")
    assert_equal [:change_outstanding, 1], [reason(user), jobs.size]
    assert_equal outstanding, tokens
  end

  def test_a_job_that_was_enqueued_before_the_answer_became_no_is_not_due
    user = Signup.create!(email: "ann@shop.test", name: "Ann")
    confirm(user.vidcache_key, user.email)
    user.update!(email: "ann@new.test")
    token = user.vidcache_change
    user.update!(name: nil)
    refute user.hubspot_email_due?(token)
    assert_equal [token], outstanding, "HubSpot may have been told of it already"
    user.update!(name: "Ann")
    assert user.hubspot_email_due?(token)
  end

  def test_a_proc_is_asked_as_rails_asks_one
    [Quick, Quicker].each do |model|
      assert_nil model.new(email: "ann@shop.test", name: "no").vidcache_email
      assert_equal "ann@shop.test", model.new(email: "ann@shop.test", name: "yes").vidcache_email
    end
    assert_raises(ArgumentError) { Class.new(Signup) { has_vid unless: :confirmed? } }
  end

  def test_without_a_cache_nothing_is_asked
    user = Signup.create!(email: "ann@shop.test")
    Vidcache.cache = nil
    user.update!(name: "Ann")
    assert_empty jobs
  end
end
