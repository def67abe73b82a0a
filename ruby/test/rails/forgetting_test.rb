# frozen_string_literal: true

require_relative "helper"

# A user key is one person.
class Vidcache::ForgettingTest < Vidcache::RailsTest
  class Kept < User
    has_vid email: :email, job: "HubspotContactJob", forget: false
  end

  class Soft < ActiveRecord::Base
    self.table_name = "users"
    default_scope { where(name: nil) }
    has_vid prefix: "soft-", job: "HubspotContactJob"
  end

  class Linking < ActiveRecord::Base
    self.table_name = "users"
    after_create { Vidcache.cache.link("linking-#{id}", 4711) }
    has_vid key: :vid_key, job: "HubspotContactJob"
    def vid_key = "linking-#{id}"
  end

  def test_a_new_row_with_the_key_of_a_linked_user_takes_nothing_over
    gone = agreed_user
    User.where(id: gone.id).delete_all # As a restored database has it: no callback ran.
    heard = events("key_reused.vidcache") do
      bob = User.create!(id: gone.id, email: "bob@else.test")
      assert_equal [:not_linked, nil], [bob.vidcache_decision.reason, bob.vidcache_decision.id]
      assert_equal [nil], tokens, "Bob's own job, and he has no contact that it could rewrite"
      assert bob.hubspot_email_due?(nil)
    end
    assert_equal [{ user_id: gone.id }], heard
    assert_equal [Vidcache::KeyReused], @reported.map(&:class)
  end

  def test_a_change_of_the_one_before_is_nobody_s_and_its_job_does_nothing
    gone = User.create!(email: "ann@shop.test")
    gone.update!(email: "ann@new.test")
    token = gone.vidcache_change
    User.where(id: gone.id).delete_all
    bob = User.create!(id: gone.id, email: "bob@else.test")
    assert_empty outstanding
    assert_equal [Vidcache::KeyReused], @reported.map(&:class)
    refute bob.hubspot_email_due?(token)
  end

  def test_inside_the_new_row_s_own_transaction_its_change_stands
    gone = agreed_user
    User.where(id: gone.id).delete_all
    User.transaction { User.create!(id: gone.id, email: "bob@else.test").update!(email: "bob@new.test") }
    assert_equal [nil, *outstanding], tokens
    assert_equal 1, outstanding.size
  end

  def test_an_unknown_key_costs_no_write_and_a_locked_file_no_sign_up
    only :file
    locked do
      user = User.create!(email: "ann@shop.test")
      assert_equal [nil], tokens
      assert_predicate user, :persisted?
    end
    assert_empty @reported
  end

  def test_where_the_stranger_cannot_be_forgotten_no_row_is_created
    only :file
    gone = agreed_user
    User.where(id: gone.id).delete_all
    locked { assert_raises(Vidcache::Busy) { User.create!(id: gone.id, email: "bob@else.test") } }
    refute User.exists?(gone.id)
    assert_empty jobs
    @cache.close
    assert_raises(Vidcache::Closed) { User.create!(id: gone.id, email: "bob@else.test") }
    refute User.exists?(gone.id)
  end

  def test_a_change_that_was_rolled_back_with_its_row_makes_no_stranger
    2.times do
      User.transaction do
        User.create!(id: 77, email: "ann@shop.test").update!(email: "ann@new.test")
        raise ActiveRecord::Rollback
      end
    end
    assert_empty @reported
  end

  def test_what_the_app_links_itself_after_the_row_was_made_stands
    user = Linking.create!(email: "ann@shop.test")
    assert_equal 4711, @cache.resolve(user.vid_key)
    assert_empty @reported
  end

  def test_a_destroyed_user_is_forgotten_once_that_is_committed
    user = agreed_user
    user.update!(email: "ann@new.test")
    User.transaction do
      user.destroy!
      assert_equal 901, @cache.resolve(user.id), "it may still roll back"
    end
    assert_nil @cache.resolve(user.id)
    assert_empty outstanding
    refute_includes @cache.export(user.id), "901"
    assert_empty @reported
  end

  def test_a_destruction_that_rolls_back_forgets_nothing
    user = agreed_user
    User.transaction do
      User.transaction(requires_new: true) { user.destroy! }
      raise ActiveRecord::Rollback
    end
    assert_equal 901, @cache.resolve(user.id)
    User.transaction do
      User.transaction(requires_new: true) { User.find(user.id).destroy! && raise(ActiveRecord::Rollback) }
    end
    assert_equal [901, :agreed], [@cache.resolve(user.id), reason(User.find(user.id))]
    User.transaction { User.transaction(requires_new: true) { User.find(user.id).destroy! } }
    assert_nil @cache.resolve(user.id)
  end

  def test_a_row_that_is_destroyed_and_made_anew_in_one_transaction_keeps_what_is_its_own
    user = agreed_user
    User.transaction do
      user.destroy!
      User.create!(id: user.id, email: "bob@else.test").update!(email: "bob@new.test")
    end
    assert_nil @cache.resolve(user.id)
    assert_equal [nil, *outstanding], tokens
    assert_equal 1, outstanding.size
  end

  def test_a_failure_to_forget_leaves_the_destruction_as_it_is_and_says_what_to_do
    only :file
    user = agreed_user
    during = []
    listener = ActiveSupport::Notifications.subscribe("failure.vidcache") { |*, payload| during << payload[:during] }
    locked { user.destroy! }
    refute User.exists?(user.id)
    assert_equal [Vidcache::Busy], @reported.map(&:class)
    assert_includes during.first, "vidcache:forget USER_ID=#{user.id}"
  ensure
    ActiveSupport::Notifications.unsubscribe(listener)
  end

  # As the gems for soft deletion do: the callbacks of `destroy`, and an UPDATE.
  def test_a_row_that_is_deleted_softly_is_forgotten_when_it_goes_for_good
    user = Soft.create!(email: "ann@shop.test")
    confirm(user.vidcache_key, user.email)
    Soft.transaction { user.run_callbacks(:destroy) { user.update_columns(name: "deleted") } }
    refute Soft.exists?(user.id)
    assert_equal 901, @cache.resolve(user.vidcache_key)
    user.destroy!
    assert_nil @cache.resolve(user.vidcache_key)
  end

  def test_a_model_may_keep_what_is_known_of_the_destroyed
    user = Kept.create!(email: "ann@shop.test")
    confirm(user.id, user.email)
    user.destroy!
    assert_equal 901, @cache.resolve(user.id)
  end

  def test_who_signs_up_again_is_linked_and_named_by_what_hubspot_has_said_all_along
    said = Time.now - 60
    user = User.create!(email: "ann@shop.test")
    confirm(user.id, "ann@shop.test", at: said)
    user.destroy!
    again = User.create!(email: "ann@shop.test")
    assert again.hubspot_email_due?(nil)
    confirm(again.id, "ann@shop.test", at: said) # 409, and read by email: its `updatedAt` did not move.
    assert_equal :agreed, reason(again)
    assert_empty @reported
  end

  def test_without_a_cache_nothing_is_asked
    Vidcache.cache = nil
    User.create!(email: "ann@shop.test").destroy!
    User.new.destroy
    assert_empty @reported
  end

  private

  def events(name)
    heard = []
    listener = ActiveSupport::Notifications.subscribe(name) { |*, payload| heard << payload }
    yield
    heard
  ensure
    ActiveSupport::Notifications.unsubscribe(listener)
  end

  # While another process is in the middle of a write to the file.
  def locked
    impatient = Vidcache.open("#{@dir}/hubspot.vidcache", portal_id: 62_515, busy_timeout: 0.05)
    Vidcache.cache = impatient
    ready = IO.pipe
    done = IO.pipe
    child = fork do
      hold = ->(db) { db.execute("BEGIN IMMEDIATE"); ready[1].write("."); ready[1].close; done[1].close; done[0].read }
      require "sqlite3"
      hold.call(SQLite3::Database.new("#{@dir}/hubspot.vidcache"))
      exit!(0)
    end
    ready[1].close
    done[0].close
    ready[0].read(1)
    yield
  ensure
    done[1].close
    Process.wait(child)
    Vidcache.cache = @cache
    impatient.close
  end
end
