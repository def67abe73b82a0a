# frozen_string_literal: true

require_relative "helper"

class Vidcache::ModelTest < Vidcache::RailsTest
  def test_a_new_user_gets_a_job_without_token_or_wait
    user = User.create!(email: "ann@shop.test")
    assert_equal [[user.id, nil, nil]], jobs.map { |job| [gid(job), job["arguments"][1], job[:at]] }
    assert_empty outstanding
    assert_equal :not_linked, reason(user)
  end

  def test_a_change_is_begun_before_the_update_and_its_job_waits_out_the_quiet_period
    user = agreed_user
    assert_equal :agreed, reason(user)
    user.after = ->(record) { assert_equal [:change_outstanding, 1], [reason(record), outstanding.size] }
    user.update!(email: "ann@new.test")
    assert_equal outstanding, tokens
    assert_in_delta Time.now.to_f + 15, jobs.first[:at], 2
    assert_equal :change_outstanding, reason(user)

    confirm(user.id, "ann@new.test", change: tokens.first)
    assert_equal :agreed, reason(user)
    assert_empty outstanding
  end

  def test_a_save_that_leaves_the_email_alone_begins_nothing
    user = agreed_user
    user.update!(name: "Ann", email: user.email.dup)
    user.touch if user.respond_to?(:updated_at)
    assert_empty jobs
    assert_equal :agreed, reason(user)
  end

  def test_an_email_that_comes_or_goes_is_a_change_too
    user = agreed_user
    user.update!(email: nil)
    user.update!(email: "ann@shop.test")
    assert_equal outstanding, tokens.sort
    assert_equal 2, tokens.size
  end

  def test_a_rollback_abandons_the_change
    user = agreed_user
    User.transaction do
      user.update!(email: "ann@new.test")
      assert_equal 1, outstanding.size
      raise ActiveRecord::Rollback
    end
    assert_empty outstanding
    assert_empty jobs
    assert_equal :agreed, reason(user.reload)
  end

  def test_an_exception_after_the_update_abandons_the_change_and_reaches_the_caller
    user = agreed_user
    assert_raises(ArgumentError) { User.transaction { user.update!(email: "ann@new.test") && raise(ArgumentError) } }
    assert_empty outstanding
    assert_empty jobs
  end

  def test_an_update_that_the_database_refuses_abandons_the_change
    agreed_user("bob@shop.test")
    user = User.create!(email: "ann@shop.test")
    jobs.clear
    assert_raises(ActiveRecord::RecordNotUnique) { user.update!(email: "bob@shop.test") }
    assert_empty outstanding
    assert_empty jobs
  end

  def test_a_savepoint_takes_back_its_own_change_and_leaves_the_outer_one
    user = agreed_user
    User.transaction do
      user.update!(email: "ann@one.test")
      outer = outstanding
      User.transaction(requires_new: true) do
        user.update!(email: "ann@two.test")
        assert_equal 2, outstanding.size
        raise ActiveRecord::Rollback
      end
      assert_equal outer, outstanding
      assert_empty jobs, "the outer transaction may still roll back"
    end
    assert_equal "ann@one.test", user.reload.email
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
  end

  def test_a_released_savepoint_follows_the_transaction_around_it
    user = agreed_user
    User.transaction do
      User.transaction(requires_new: true) { user.update!(email: "ann@one.test") }
      assert_equal 1, outstanding.size
      raise ActiveRecord::Rollback
    end
    assert_empty outstanding
    assert_empty jobs

    User.transaction do
      User.transaction(requires_new: true) do
        User.transaction(requires_new: true) { user.update!(email: "ann@one.test") }
      end
      assert_empty jobs
    end
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
  end

  def test_a_transaction_nested_without_a_savepoint_is_no_transaction_of_its_own
    user = agreed_user
    User.transaction do
      User.transaction do
        user.update!(email: "ann@new.test")
        raise ActiveRecord::Rollback # Active Record ignores it here, and the update is committed.
      end
    end
    assert_equal "ann@new.test", user.reload.email
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
  end

  def test_of_several_saves_in_one_transaction_every_one_has_its_token_and_its_job
    user = agreed_user
    User.transaction do
      user.update!(email: "ann@one.test")
      user.update!(email: "ann@shop.test")
      user.update!(email: "ann@two.test")
    end
    assert_equal 3, tokens.uniq.size
    assert_equal outstanding, tokens.sort
  end

  # Active Record calls the after_commit of one of them only.
  def test_two_instances_of_one_row_both_have_their_job
    user = agreed_user
    User.transaction do
      user.update!(email: "ann@one.test")
      User.find(user.id).update!(email: "ann@two.test")
    end
    assert_equal 2, tokens.size
    assert_equal outstanding, tokens.sort
  end

  def test_a_user_made_and_changed_in_one_transaction_has_both_jobs
    User.transaction { User.create!(email: "ann@one.test").update!(email: "ann@two.test") }
    assert_equal [nil, *outstanding], tokens
    assert_equal 2, tokens.size
  end

  def test_a_user_whose_creation_is_rolled_back_leaves_nothing
    User.transaction do
      User.create!(email: "ann@one.test").update!(email: "ann@two.test")
      raise ActiveRecord::Rollback
    end
    assert_empty jobs
    assert_empty outstanding
  end

  def test_a_change_that_cannot_be_begun_stops_the_save
    user = agreed_user
    @cache.close
    assert_raises(Vidcache::Closed) { user.update(email: "ann@new.test") }
    assert_equal "ann@shop.test", User.find(user.id).email
    assert_empty jobs
    User.transaction do # An app that goes on all the same has not sent the UPDATE.
      assert_raises(Vidcache::Error) { user.update(email: "ann@new.test") }
      user.class.connection.execute("SELECT 1")
    end
    assert_equal "ann@shop.test", User.find(user.id).email
  end

  def test_a_callback_declared_later_that_sets_the_email_is_seen_too
    user = agreed_user
    user.after = ->(record) { record.email = "ann@late.test" }
    user.update!(name: "Ann")
    assert_equal "ann@late.test", User.find(user.id).email
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
  end

  def test_a_callback_declared_later_that_halts_the_save_leaves_no_change_behind
    user = agreed_user
    user.after = ->(_) { throw :abort }
    refute user.update(email: "ann@new.test")
    assert_empty outstanding
    assert_empty jobs

    User.transaction { refute user.update(email: "ann@new.test") } # Commits: there is a job to end the change.
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
  end

  def test_when_enqueueing_fails_the_error_surfaces_and_the_change_stays_outstanding
    user = agreed_user
    failing_queue do
      assert_raises(IOError) { user.update!(email: "ann@new.test") }
    end
    assert_equal "ann@new.test", User.find(user.id).email
    assert_equal 1, outstanding.size
    assert_equal :change_outstanding, reason(user)
  end

  def test_when_one_of_two_jobs_cannot_be_enqueued_the_other_is
    user = agreed_user
    failing_queue(times: 1) do
      assert_raises(IOError) do
        User.transaction { 2.times { |n| user.update!(email: "ann@#{n}.test") } }
      end
    end
    assert_equal 1, jobs.size
    assert_equal 2, outstanding.size
  end

  # Active Record calls no further after_commit once one has raised.
  def test_an_after_commit_of_another_that_raises_takes_no_job_away
    user = agreed_user
    user.after_commit_hook = -> { raise ArgumentError, "the app's own" }
    error = assert_raises(ArgumentError) { user.update!(email: "ann@new.test") }
    assert_equal "the app's own", error.message
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size

    failing_queue { assert_equal "the app's own", assert_raises(ArgumentError) { user.update!(email: "ann@two.test") }.message }
    assert_equal 2, outstanding.size
    assert_equal [IOError], @reported.map(&:class)
  end

  def test_a_change_that_cannot_be_abandoned_stays_outstanding_and_the_rollback_goes_on
    only :file # In the database it is rolled back with everything else.
    user = agreed_user
    assert_raises(ArgumentError) do
      User.transaction do
        user.update!(email: "ann@new.test")
        @cache.close
        raise ArgumentError
      end
    end
    assert_equal [Vidcache::Closed], @reported.map(&:class)
    @cache = Vidcache.cache = Vidcache.open("#{@dir}/hubspot.vidcache", portal_id: 62_515)
    assert_equal :change_outstanding, reason(user.reload)
  end

  # The connection broke at COMMIT: the database may have done it. Rails 7.1 goes on as after a rollback.
  def test_a_commit_whose_outcome_is_unknown_gets_a_job_and_is_not_abandoned
    user = agreed_user
    broken_commit(:rollback_db_transaction) do
      assert_raises(ActiveRecord::StatementInvalid) { user.update!(email: "ann@new.test") }
    end
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
  end

  # Rails 6.1 fails at the ROLLBACK too, and tells nobody of the outcome.
  def test_a_commit_and_a_rollback_that_fail_leave_the_change_outstanding
    user = agreed_user
    broken_commit { assert_raises(ActiveRecord::StatementInvalid) { user.update!(email: "ann@new.test") } }
    assert_equal 1, outstanding.size
  end

  # What `use_transactional_tests` does: a transaction around the test that counts for nothing.
  def test_in_an_app_s_own_tests_a_change_is_committed_when_its_transaction_is
    user = agreed_user
    User.connection.begin_transaction(joinable: false)
    user.update!(email: "ann@new.test")
    assert_equal outstanding, tokens
    assert_equal 1, tokens.size
    User.transaction do
      user.update!(email: "ann@newer.test")
      raise ActiveRecord::Rollback
    end
    assert_equal 1, outstanding.size
  ensure
    User.connection.rollback_transaction
  end

  def test_uuid_keys_aliased_columns_and_jobs_given_as_a_class
    person = Person.create!(uuid: "6a1f", mail: "ann@shop.test")
    confirm("6a1f", "ann@shop.test")
    assert_equal :agreed, reason(person)
    person.update!(contact_address: "ann@new.test")
    assert_equal [nil, *outstanding], tokens
    assert_equal [OtherJob, OtherJob], jobs.map { |job| job[:job] }
  end

  def test_without_a_cache_models_save_as_if_they_had_no_vid
    Vidcache.cache = nil
    user = User.create!(email: "ann@shop.test")
    user.update!(email: "ann@new.test")
    assert_equal "ann@new.test", user.reload.email
    assert_empty jobs
  end

  def test_emails_in_other_encodings_and_what_is_no_email
    { "ann@shop.test".encode("UTF-16LE") => "ann@shop.test", "ann@shop.test".b => "ann@shop.test",
      "\u00e4nn@shop.test".encode("ISO-8859-1") => "\u00e4nn@shop.test", " \t" => nil, "" => nil, nil => nil,
      "\xFFnn@shop.test" => nil, "\xE4nn@shop.test".b => nil }.each do |email, named|
      user = User.new
      user.define_singleton_method(:email) { email }
      named.nil? ? assert_nil(user.vidcache_email) : assert_equal(named, user.vidcache_email)
    end
    user = agreed_user
    user.email = "no address"
    assert_equal :email_absent, reason(user)
  end

  def test_changes_whose_job_was_lost_get_another
    user = agreed_user
    user.update!(email: "ann@new.test")
    gone = [@cache.begin_email_change(4711), @cache.begin_email_change("#{user.id}a1f")]
    jobs.clear
    assert_equal 0, User.retry_email_changes, "they are too young"

    at(Time.now + 7200) { assert_equal 1, User.retry_email_changes }
    assert_equal outstanding - gone, tokens
    assert_nil jobs.first[:at]
    Vidcache.cache = nil
    assert_equal 0, User.retry_email_changes
  end

  def test_no_job_of_a_new_user_is_due_whose_email_hubspot_refused_for_good
    user = User.create!(email: "ann@shop.test")
    refused = '{"status":"error","message":"ann@shop.test","validationResults":[{"error":"INVALID_EMAIL","name":"email"}]}'
    assert_raises(Vidcache::Refused) { @cache.record(user.id, refused) }
    refute user.hubspot_email_due?(nil)
    user.update!(email: "ann@new.test")
    assert user.hubspot_email_due?(user.vidcache_change), "their next email is another matter"
  end

  def test_a_job_is_due_while_its_change_is_outstanding_and_without_one_until_the_user_is_linked
    user = User.create!(email: "ann@shop.test")
    assert user.hubspot_email_due?(nil)
    confirm(user.id, user.email)
    refute user.hubspot_email_due?(nil)

    user.update!(email: "ann@new.test")
    first = user.vidcache_change
    sleep 0.002
    assert user.hubspot_email_due?(first)
    confirm(user.id, user.email, change: first)
    user.update!(email: "ann@newer.test")
    sleep 0.002
    refute user.hubspot_email_due?(first), "a job that comes twice must not tell of the next change"
    assert user.hubspot_email_due?(user.vidcache_change)
    refute user.hubspot_email_due?(4711)
    refute user.hubspot_email_due?(@cache.begin_email_change(4711)), "another user's"
    user.update!(name: "Ann")
    assert_nil user.vidcache_change
    person = Person.create!(uuid: "6a1f", mail: "ann@shop.test")
    person.update!(mail: "ann@new.test")
    sleep 0.002
    assert person.hubspot_email_due?(person.vidcache_change)
  end

  def test_a_job_that_a_callback_of_the_app_stops_is_an_error
    user = agreed_user
    HubspotContactJob.before_enqueue { throw :abort }
    assert_raises(Vidcache::Error) { user.update!(email: "ann@new.test") }
    assert_equal 1, outstanding.size
  ensure
    HubspotContactJob.reset_callbacks(:enqueue)
  end

  private

  def gid(job)
    job["arguments"][0]["_aj_globalid"][/\d+\z/].to_i
  end

  def failing_queue(times: Float::INFINITY)
    adapter = ActiveJob::Base.queue_adapter
    failed = 0
    adapter.define_singleton_method(:enqueue_at) do |*arguments|
      failed += 1
      raise IOError, "redis is gone" if failed <= times

      super(*arguments)
    end
    yield
  ensure
    adapter.singleton_class.remove_method(:enqueue_at)
  end

  def broken_commit(*ignored)
    connection = User.connection
    connection.define_singleton_method(:commit_db_transaction) do
      super()
      raise ActiveRecord::StatementInvalid, "the connection was lost"
    end
    ignored.each { |name| connection.define_singleton_method(name) { nil } }
    yield
  ensure
    [:commit_db_transaction, *ignored].each { |name| connection.singleton_class.remove_method(name) }
    User.connection_pool.disconnect!
  end

  # The core reads the clock itself, so it is the changes that are made to look older: as of `time` all are.
  def at(time)
    cache = @cache
    older = Object.new
    older.define_singleton_method(:stale_changes) do |older_than:, limit:|
      cache.stale_changes(older_than: [older_than - (time - Time.now), 0].max, limit: limit)
    end
    older.define_singleton_method(:quiet_period) { cache.quiet_period }
    Vidcache.cache = older
    sleep 0.01
    yield
  ensure
    Vidcache.cache = cache
  end
end
