# frozen_string_literal: true

require_relative "helper"
require "rake"

class Vidcache::TasksTest < Vidcache::RailsTest
  def setup
    super
    Rake.application = Rake::Application.new
    Rake::Task.define_task(:environment)
    load "vidcache/rails/tasks.rake"
  end

  def test_backfill_from_a_column_links_and_says_how_far_it_is
    User.create!([{ name: "901" }, { name: "902" }, { name: "902" }, { name: "nonsense" }, { name: nil }])
    output = run_task("backfill", "VID" => "name")
    assert_equal "vidcache: 4 of 4 users, 2 linked, 1 whose contact is another user's, 1 without a valid id\n" \
                 "vidcache: config.vidcache.access_token is not set, so nothing is confirmed yet\n", output
    assert_equal [901, 902], User.order(:id).first(2).map { |user| @cache.resolve(user.id) }
    assert_equal :email_unconfirmed, User.first.tap { |user| user.email = "ann@shop.test" }.vidcache_decision.reason
    confirm(User.first.id, "ann@shop.test", vid: 77)
    run_task("backfill", "VID" => "name")
    assert_equal 77, @cache.resolve(User.first.id), "what an answer said stands"
  end

  def test_backfill_without_a_column_enqueues_a_job_for_those_who_are_not_linked
    User.create!([{ email: "ann@shop.test" }, { email: "bob@shop.test" }])
    jobs.clear
    @cache.link(User.first.id, 901)
    assert_equal "vidcache: 2 of 2 users, 1 linked already, 1 enqueued\n", run_task("backfill")
    assert_equal [nil], tokens
    Person.delete_all
    assert_equal "vidcache: no users\n", run_task("backfill", "MODEL" => "Person")
  end

  def test_a_queue_that_the_task_would_take_with_it_is_performed_by_the_task_and_it_says_so
    %i[async inline].each do |adapter|
      performed = []
      job = Class.new(ActiveJob::Base) do
        define_method(:perform) do |user, _change|
          performed << user.email
          raise "no" if user.email.start_with?("bad")
          next retry_job(wait: 3600) if user.email.start_with?("later")

          retry_job(wait: 0.01) if performed.count(user.email) < 2
        end
      end
      self.class.send(:remove_const, :AdapterJob) if self.class.const_defined?(:AdapterJob, false)
      self.class.const_set(:AdapterJob, job).queue_adapter = adapter
      own_job = User.vidcache_job
      User.vidcache_job = job
      User.insert_all!(%w[ann bad later].map { |name| { email: "#{name}@#{adapter}.test" } })
      output = run_task("backfill")
      assert_equal %w[ann ann bad later], performed.map { |email| email[/\w+/] }.sort
      assert_includes output, "so the task performs them itself\n" \
                              "vidcache: 3 jobs were performed, 1 failed, 1 have to wait and are left to the next vidcache:reconcile\n"
      assert_equal adapter.to_s, job.queue_adapter_name, "as it was"
      User.delete_all
    ensure
      User.vidcache_job = own_job
    end
  end

  def test_a_model_without_has_vid_is_named
    error = assert_raises(SystemExit) { run_task("backfill", "MODEL" => "ActiveRecord::Base") }
    assert_includes error.message, "ActiveRecord::Base is no model with has_vid"
  end

  def test_stale_lists_and_enqueues_anew
    user = agreed_user
    user.update!(email: "ann@new.test")
    jobs.clear
    sleep 0.002
    assert_match(/\Auser #{user.id}: begun 20\S+Z, token #{user.vidcache_change}\n1 outstanding for longer than 0 s\n\z/,
                 run_task("stale", "OLDER_THAN" => "0"))
    assert_empty jobs
    assert_equal "0 outstanding for longer than 3600 s\n0 jobs enqueued\n", run_task("stale", "RETRY" => "1")
  end

  def test_stale_lists_all_of_them
    1001.times { |user| @cache.begin_email_change(user) }
    sleep 0.002
    lines = run_task("stale", "OLDER_THAN" => "0").lines
    assert_equal [1002, "1001 outstanding for longer than 0 s\n"], [lines.size, lines.last]
  end

  def test_doubt_takes_every_email_off_the_pages
    user = agreed_user
    assert_equal :agreed, reason(user)
    assert_includes run_task("doubt"), "vidcache: no page names an email now"
    assert_equal [:email_unconfirmed, [user.id.to_s]], [reason(user), @cache.users_to_read.map(&:user_id)]
  end

  # One sentence each, and no stack of calls.
  def test_what_is_asked_for_wrongly_is_said
    { ["stale", { "OLDER_THAN" => "soon" }] => "OLDER_THAN has to be a number of seconds",
      ["stale", { "OLDER_THAN" => "-1" }] => "invalid option older_than: it must be a number of seconds, not negative",
      ["backfill", { "VID" => "hubspot_id" }] => "users has no column hubspot_id",
      ["backfill", { "MODEL" => "user;" }] => "user; is no model with has_vid",
      ["forget", { "USER_ID" => "" }] => "say which user with USER_ID",
      ["explain", { "USER_ID" => "a" * 256 }] => "invalid user key" }.each do |(task, env), words|
      assert_match(/\Avidcache: .*#{words}/, assert_raises(SystemExit, task) { run_task(task, env) }.message)
    end
    Vidcache.cache = nil
    %w[backfill stale verify].each do |task|
      assert_equal "vidcache: config.vidcache.portal_id is not set", assert_raises(SystemExit) { run_task(task) }.message
    end
  end

  def test_forget_and_explain
    user = agreed_user
    [{ "USER_ID" => user.id.to_s }, { "EMAIL" => user.email }].each do |who|
      assert_includes run_task("explain", who), "The page names the email and the id 901"
    end
    assert_equal "vidcache: forgotten\n", run_task("forget", "USER_ID" => user.id.to_s)
    assert_nil @cache.resolve(user.id)
    assert_equal "vidcache: nothing was held\n", run_task("forget", "USER_ID" => user.id.to_s)
    assert_raises(SystemExit) { run_task("forget") }
  end

  def test_verify_says_that_nothing_is_wrong
    assert_equal "vidcache: nothing is wrong\n", run_task("verify")
  end

  def test_stats_and_health
    user = agreed_user
    assert_equal({ outstanding: 0, oldest_outstanding: nil, portal_id: 62_515 }, Vidcache.stats.slice(:outstanding, :oldest_outstanding, :portal_id))
    user.update!(email: "ann@new.test")
    sleep 0.002
    assert_equal 1, Vidcache.stats[:outstanding]
    assert_operator Vidcache.stats[:oldest_outstanding], :>, 0
    assert_includes Vidcache.stats, :hits

    assert_equal [200, ["ok"]], Vidcache::Health.call({}).values_at(0, 2)
    assert_nil Vidcache::Health.problem
    @cache.close
    assert_equal [503, ["closed"]], Vidcache::Health.call({}).values_at(0, 2)
    Vidcache.cache = nil
    assert_equal :not_configured, Vidcache::Health.problem
  end

  def test_a_backup_is_put_back_with_the_app_stopped
    backup = "#{@dir}/backup"
    confirm(1, "ann@shop.test")
    assert_includes run_task("backup", "FILE" => backup), "whole copy"
    capture_io do
      error = assert_raises(SystemExit) { run_task("restore", "FILE" => backup) }
      assert_includes error.message, "stop every process"
    end
    @cache.close
    assert_includes run_task("restore", "FILE" => backup), "restored"
    @cache = Vidcache.cache = Vidcache.open(Vidcache.settings.path, portal_id: 62_515)
    assert_equal :email_unconfirmed, @cache.decide(1, "ann@shop.test").reason
  end

  private

  def run_task(name, env = {})
    before = ENV.to_h
    ENV.update(env)
    output, = capture_io do
      Rake::Task["vidcache:#{name}"].reenable
      Rake::Task["vidcache:#{name}"].invoke
    end
    output
  ensure
    ENV.replace(before)
  end
end
