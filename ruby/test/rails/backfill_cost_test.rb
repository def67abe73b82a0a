# frozen_string_literal: true

require_relative "helper"

# What `vidcache:backfill` of 10,000 users costs by itself, HubSpot's time left out: `ruby -Ilib -Itest
# test/rails/backfill_cost_test.rb` prints it.
class Vidcache::BackfillCostTest < Vidcache::RailsTest
  USERS = 10_000
  SECONDS = 5.0 # Of the processor, so that a busy machine makes no difference.

  class Imported < ActiveRecord::Base
    self.table_name = "imported_users"
    has_vid prefix: "imported-", vid: :hubspot_vid, job: "HubspotContactJob"
  end

  # HubSpot: of a hundred contacts, which emails they hold. Its own work is no part of the task's.
  class Api
    Answer = Struct.new(:code, :body)
    attr_reader :calls, :seconds

    def initialize
      @calls = @seconds = 0
    end

    def call(_method, _path, body)
      began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      @calls += 1
      now = Time.now.utc.iso8601(3)
      found = body[:inputs].map { |input| { id: input[:id], properties: { email: "u#{input[:id]}@shop.test" }, updatedAt: now, archived: false } }
      Answer.new("200", JSON.generate(status: "COMPLETE", results: found))
    ensure
      @seconds += Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began
    end
  end

  def setup
    only(:file)
    super
    ActiveRecord::Schema.define { create_table(:imported_users, force: true) { |t| t.string(:email) && t.integer(:hubspot_vid) } }
    Imported.reset_column_information
  end

  def teardown
    Vidcache::HubspotHttp.stand_in = nil
    super
  end

  def test_ten_thousand_users_with_contact_ids_are_linked_and_confirmed
    users(vid: true)
    Vidcache::HubspotHttp.stand_in = api = Api.new
    with_options(access_token: "pat-1") do
      own = cost { Vidcache::Backfill.new(Imported, output: StringIO.new, rate: 1_000_000).run } - api.seconds
      said("linked and confirmed by #{api.calls} calls", own)
    end
    assert_equal 100, api.calls
    assert_equal :agreed, Imported.last.vidcache_decision.reason
  end

  def test_ten_thousand_users_get_their_jobs
    users(vid: false)
    said("given a job", cost { Vidcache::Backfill.new(Imported, output: StringIO.new).run })
    assert_equal USERS, jobs.size
  end

  private

  def users(vid:)
    Imported.insert_all!(Array.new(USERS) { |i| { email: "u#{i + 1}@shop.test", hubspot_vid: vid ? i + 1 : nil } })
  end

  def cost
    began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    yield
    Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began
  end

  def said(what, seconds)
    puts format("backfill: %<users>d users %<what>s: %<seconds>.1f s of its own", users: USERS, what: what, seconds: seconds)
    assert_operator seconds, :<=, SECONDS
  end
end
