# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"
require_relative "support/app_folder"
require "active_job/test_helper"
require "active_support/test_case"
require "vidcache/testing"

# Queues that perform a job when it is enqueued, or whatever is queued until nothing is left: those of tests.
class Vidcache::PerformedAtOnceTest < Vidcache::RailsTest
  include PortalJobs
  include ActiveJob::TestHelper

  # An app's base class: what each of its jobs does.
  class ApplicationJob < ActiveJob::Base
    cattr_accessor :performed
    around_perform { |_, block| (self.performed = performed.to_i + 1) && block.call }
  end

  class OwnJob < ApplicationJob
    include Vidcache::ContactJob::Work
  end

  def queue_adapter_for_test
    ActiveJob::QueueAdapters::TestAdapter.new
  end

  # A long quiet period: a job that did not end would be run again and again.
  def setup
    super
    quiet_period(60)
  end

  def test_a_change_whose_job_is_performed_too_early_ends_at_once_and_is_told_later
    user = User.create!(email: "ann@shop.test")
    perform_enqueued_jobs
    perform_enqueued_jobs { user.update!(email: "new@shop.test") }
    assert_equal [["ann@shop.test"], :change_outstanding], [@portal.emails, user.vidcache_decision.reason]
    assert_equal [Vidcache::ContactJob::NotYet], @reported.map(&:class)
    quiet_period(0.02)
    sleep 0.03
    perform_enqueued_jobs { User.retry_email_changes(older_than: 0) }
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, user.vidcache_decision.reason]
  end

  def test_a_queue_that_is_drained_until_it_is_empty_comes_to_its_end
    user = User.create!(email: "ann@shop.test")
    drain
    user.update!(email: "new@shop.test")
    drain
    assert_equal [["ann@shop.test"], :change_outstanding], [@portal.emails, user.vidcache_decision.reason]
  end

  # What an app's own test has.
  class AppTest < ActiveSupport::TestCase
    include ActiveJob::TestHelper
    include Vidcache::Testing::Minitest

    def test_a_change
      own_job = User.vidcache_job
      User.vidcache_job = OwnJob
      user = nil
      perform_enqueued_jobs { user = User.create!(email: "ann@shop.test") }
      perform_enqueued_jobs { user.update!(email: "new@shop.test") }
      assert_equal ["new@shop.test"], vidcache_hubspot.emails
      assert_names_email "new@shop.test", vidcache.snippet(user.id, user.email)

      vidcache_hubspot.add("taken@shop.test")
      user.update!(email: "third@shop.test")
      perform_enqueued_jobs
      assert_equal [%w[taken@shop.test third@shop.test], :agreed], [vidcache_hubspot.emails, user.vidcache_decision.reason]
      assert_operator OwnJob.performed, :>=, 3

      form = vidcache_hubspot.add("form@shop.test")
      perform_enqueued_jobs { user = User.create!(email: "form@shop.test") }
      assert_equal [form, :agreed], [vidcache.resolve(user.id), user.vidcache_decision.reason]
    ensure
      User.vidcache_job = own_job
    end
  end
  runnables.delete(AppTest)

  def test_the_tests_of_an_app_perform_it_at_once_with_hubspot_in_memory
    failures = AppTest.new("test_a_change").run.failures
    assert_empty failures.map { |failure| "#{failure.message} #{failure.backtrace.first(3)}" }
    assert_predicate Vidcache::ContactJob, :waits?
    assert_nil Vidcache::HubspotHttp.stand_in
  end

  def test_sidekiqs_ways_of_testing_end_too
    skip "sidekiq is not installed" if Gem::Specification.find_all_by_name("sidekiq").empty?
    app = AppFolder.new(Dir.mktmpdir("app-", SCRATCH))
    app.write("app/models/user.rb", "class User < ApplicationRecord\n  has_vid\nend\n")
    app.write("app/jobs/hubspot_contact_job.rb", "class HubspotContactJob < ApplicationJob\n  include Vidcache::ContactJob::Work\nend\n")
    said = app.run(<<~RUBY, RAILS_ENV: "test")
      require "./config/application"
      Rails.application.config.active_job.queue_adapter = :sidekiq
      require "sidekiq/testing"
      require "./config/environment"
      require "minitest"
      require "vidcache/testing"
      include Vidcache::Testing::Support
      def told(user) = [user.email, vidcache_hubspot.emails, user.vidcache_decision.reason].join(" ")
      vidcache_start
      Sidekiq::Testing.inline!
      user = User.create!(email: "a@shop.test")
      user.update!(email: "b@shop.test")
      puts told(user)
      Sidekiq::Testing.fake!
      user.update!(email: "c@shop.test")
      Sidekiq::Worker.drain_all
      puts told(user)
      vidcache_hubspot.add("d@shop.test")
      user.update!(email: "d@shop.test")
      Sidekiq::Worker.drain_all
      puts told(user)
      vidcache_stop
    RUBY
    told = ["b@shop.test b@shop.test agreed", "c@shop.test c@shop.test agreed", "d@shop.test c@shop.test d@shop.test email_differs"]
    # Newer Sidekiqs log to standard output, and newer Rails say that Sidekiq has the adapter now.
    assert_equal told, said.lines(chomp: true).grep_v(/pid=|DEPRECATION/)
  end
end
