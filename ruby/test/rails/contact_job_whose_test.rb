# frozen_string_literal: true

require_relative "helper"

# Whose job it is: one whose key was handed out again tells HubSpot nothing, nor
# does one of an address that nobody confirmed.
class Vidcache::ContactJobWhoseTest < Vidcache::RailsTest
  ActiveRecord::Schema.define do
    create_table(:accounts) do |t|
      t.string :email
      t.datetime :confirmed_at
      t.bigint :hubspot_vid
      t.timestamps
    end
  end

  # Plays a client: calls are noted, answers come from the test.
  class Job < Vidcache::ContactJob
    cattr_accessor :calls, :answers

    private

    %i[update create read read_by_email].each do |name|
      define_method(name) do |*arguments|
        calls << [name, *arguments]
        answers.shift || { status: "error", category: "OBJECT_NOT_FOUND", message: "resource not found" }
      end
    end
  end

  class Account < ActiveRecord::Base
    has_vid prefix: "account-", if: -> { confirmed_at }, vid: :hubspot_vid, job: Job
  end

  def setup
    super
    Account.delete_all
    Job.calls = []
    Job.answers = []
    @settings = Vidcache.settings
    Vidcache.settings = quiet(@settings)
  end

  def teardown
    Vidcache.settings = @settings
    super
  end

  def test_a_job_of_one_who_was_destroyed_does_nothing_for_the_next_user_of_the_key
    ann = Account.create!(email: "ann@shop.test", confirmed_at: Time.now)
    confirm(ann.vidcache_key, ann.email)
    ann.update!(email: "ann@new.test")
    queued = jobs.last
    ann.destroy!
    bob = Account.create!(id: ann.id, email: "bob@else.test", confirmed_at: Time.now)
    deliver(queued)
    assert_empty Job.calls
    assert_empty outstanding, "nor is a change begun in its place"
    assert_nil @cache.resolve(bob.vidcache_key)
    assert_equal [Vidcache::ForeignChange], @reported.map(&:class)
  end

  def test_nor_does_one_without_a_change_that_remembers_the_former_user_s_email
    ann = Account.create!(email: "ann@shop.test", confirmed_at: Time.now, created_at: Time.now - 60)
    job = Job.new(ann, nil)
    job.vidcache_remember(ann, "ann@shop.test")
    queued = job.serialize
    ann.destroy!
    bob = Account.create!(id: ann.id, email: "bob@else.test", confirmed_at: Time.now)
    deliver(queued)
    assert_empty Job.calls
    own = Job.new(bob, nil).serialize
    Job.answers = [contact(902, "bob@else.test")]
    deliver(own)
    assert_equal [[:create, "bob@else.test"]], Job.calls
    assert_equal :agreed, reason(bob.reload)
  end

  def test_an_address_that_nobody_confirmed_is_told_to_nobody_and_never_looked_for_afterwards
    user = Account.create!(email: "ceo@shop.test")
    assert_empty jobs
    deliver(Job.new(user, nil).serialize)
    assert_empty Job.calls
    user.update!(email: "own@shop.test", confirmed_at: Time.now)
    2.times { deliver(jobs.last) }
    refute_includes Job.calls.flatten, "ceo@shop.test", "somebody else's contact may have that"
    assert_includes Job.calls.flatten, "own@shop.test"
  end

  def test_a_change_of_who_is_not_confirmed_any_more_waits_and_clears_no_email_at_hubspot
    user = Account.create!(email: "ann@shop.test", confirmed_at: Time.now)
    confirm(user.vidcache_key, user.email)
    user.update!(email: "ann@new.test")
    user.update!(confirmed_at: nil)
    deliver(jobs.last)
    assert_empty Job.calls
    assert_equal 1, outstanding.size
  end

  def test_the_column_s_contact_is_read_where_the_file_knows_none_and_none_is_made
    user = Account.create!(email: "ann@shop.test", confirmed_at: Time.now, hubspot_vid: 901)
    Job.answers = [contact(901, "ann@shop.test")]
    deliver(jobs.last)
    assert_equal [[:read, 901]], Job.calls
    assert_equal :agreed, reason(user.reload)
  end

  def test_while_the_column_s_contact_is_another_user_s_none_is_made
    @cache.link(4711, 901)
    user = Account.create!(email: "ann@shop.test", confirmed_at: Time.now, hubspot_vid: 901)
    Job.answers = [contact(901, "ann@old.test")]
    deliver(jobs.last)
    assert_equal [[:read, 901]], Job.calls
    assert_nil @cache.resolve(user.vidcache_key)
    assert_equal [Vidcache::VidTaken], @reported.map(&:class)
  end

  private

  # As a queue does that does not wait, and hands the job over as it was written down.
  def deliver(job)
    ActiveJob::Base.execute(job.slice(*job.keys.grep(String)))
  end

  def contact(vid, email)
    { id: vid.to_s, properties: { email: email }, updatedAt: Time.now.utc.iso8601(3), archived: false }
  end

  def quiet(settings)
    settings.dup.tap { |same| same.define_singleton_method(:quiet_period) { 0.0 } }
  end
end
