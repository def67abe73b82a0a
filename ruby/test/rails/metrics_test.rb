# frozen_string_literal: true

require_relative "helper"
require "minitest/mock"

# What a dashboard is told.
class Vidcache::MetricsTest < Vidcache::RailsTest
  OPERATIONS = File.expand_path("../../../docs/operations.md", __dir__)
  # Of the names that the documents have for Rails, those of one place of the rows.
  OF_A_FILE = %w[file log hits misses syncs evictions reopened entries memory fallback].map { |name| "vidcache.#{name}" }
  OF_A_DATABASE = %w[vidcache.asks vidcache.stale].freeze
  OF_KEPT_ANSWERS = %w[vidcache.forgotten vidcache.looks].freeze

  def setup
    super
    Rails.cache.clear
    Vidcache::Pulse.clear
    Vidcache::Pulse.listen
  end

  def test_they_are_those_that_the_documents_name
    everything_happens
    rows = File.read(OPERATIONS).scan(/^\| `(vidcache\.\w+)` \| `(vidcache_\w+)` \| ([^|]*) \|/)
    rows = rows.select { |_, _, where| where.include?("Rails") }.to_h { |name, prometheus, _| [name, prometheus] }
    absent = (TestStore.database? ? OF_A_FILE : OF_A_DATABASE) + OF_KEPT_ANSWERS
    found = Vidcache::Metrics.read.map { |metric| [metric.name, metric.prometheus_name] }
    assert_equal rows.except(*absent).sort, found.sort
    assert_equal absent.sort, rows.slice(*absent).keys.sort
  end

  def test_they_say_what_waits_and_what_came_and_name_nobody
    everything_happens
    status, headers, body = Vidcache::Metrics.call({})
    assert_equal [200, "text/plain; version=0.0.4; charset=utf-8"], [status, headers["Content-Type"]]
    text = body.join
    { "vidcache_changes_outstanding" => 1, "vidcache_unconfirmed_users" => 1, "vidcache_unlinked_users" => 7, "vidcache_hosts" => 1,
      "vidcache_webhooks_total" => 2, "vidcache_failed_jobs_total" => 1 }.each { |name, value| assert_includes text.lines, "#{name} #{value}\n" }
    assert_match(/^vidcache_pages_total\{host="[^"]+",process="#{Process.pid}",reason="agreed"\} 1$/, text)
    assert_match(/^vidcache_last_seconds\{what="webhooks"\} #{Time.now.to_i / 100}\d\d$/, text)
    text.each_line { |line| assert_match(/\A# (HELP|TYPE) vidcache_\w+ .+$|\Avidcache_\w+(\{[^}]*\})? \d+$/, line) }
    refute_match(/@|4711|4712/, text)
    Socket.stub(:gethostname, "a\"b\\c\nd") { assert_includes Vidcache::Metrics.text, 'host="a\"b\\\\c\nd"' }
  end

  def test_of_several_portals_each_has_its_own
    everything_happens
    Vidcache::Portals.stub(:each, ->(&block) { [62_515, 777].map(&block) }) do
      text = Vidcache::Metrics.text
      [62_515, 777].each { |portal| assert_includes text.lines, "vidcache_changes_outstanding{portal=\"#{portal}\"} 1\n" }
      assert_equal 1, text.scan("# TYPE vidcache_changes_outstanding ").size
      assert_includes text.lines, "vidcache_hosts 1\n"
    end
  end

  def test_a_file_that_cannot_be_asked_is_said_as_such
    Vidcache::Counts.stub(:new, ->(*) { raise Vidcache::Busy, "the file is busy" }) do
      assert_equal [503, ["busy\n"]], Vidcache::Metrics.call({}).values_at(0, 2)
    end
  end

  private

  def everything_happens
    confirm(4711, "one@shop.test", vid: 11)
    @cache.link(4712, 12)
    @cache.begin_email_change(4711)
    Vidcache::Pulse.page(:agreed)
    %w[record webhook webhook refused_webhook conflict reconcile].each { |event| ActiveSupport::Notifications.instrument("#{event}.vidcache", {}) }
    Vidcache::Explanation::Traces.job(4711, nil)
    Vidcache::Explanation::Traces.job(4711, Vidcache::RateLimited.new("HubSpot asks to wait"))
    Vidcache::Explanation::Traces.unlinked(7)
    sleep 0.01 # What was written in this millisecond is not yet in the lists.
  end
end
