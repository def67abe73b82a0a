# frozen_string_literal: true

require_relative "helper"
require_relative "support/over_http"
require "minitest/mock"
require "rake"
require "stringio"

# The standing work, against the double over HTTP: whoever was lost is found and named.
class Vidcache::ReconcileTest < Vidcache::RailsTest
  include OverHttp

  # Long enough that a read counts although a doubt was heard a moment ago.
  LATER = 4.9

  def setup
    super
    call_the_double
    Vidcache::ReconcileJob.forget_soon
  end

  def teardown
    call_nobody
    super
  end

  def test_ten_thousand_unconfirmed_are_confirmed_by_a_hundred_calls
    emails = Array.new(10_000) { |n| "u#{n}@shop.test" }
    vids = emails.each_slice(100).flat_map do |some|
      inputs = some.map { |email| { id: email, idProperty: "email", properties: {} } }
      made = @double.ask("POST", "/crm/v3/objects/contacts/batch/upsert", { inputs: inputs })
      made.fetch("results").to_h { |contact| [contact.dig("properties", "email"), contact.fetch("id")] }.values_at(*some)
    end
    @cache.import(vids.each_with_index.map { |vid, n| [n, vid] })
    done = Vidcache::Reconcile.new(rate: 10_000).run
    assert_equal({ read: 10_000, calls: 100, changes: 0, users: 0, conflicts: 0 }, done)
    assert_equal [:agreed], @cache.decide_many(emails.each_with_index.map { |email, n| [n, email] }).map(&:reason).uniq
    assert_equal({ read: 0, calls: 0, changes: 0, users: 0, conflicts: 0 }, Vidcache::Reconcile.new.run)
  end

  def test_who_was_merged_is_found_though_the_batch_leaves_them_out
    ann = contact("ann@shop.test")
    other = contact("form@shop.test")
    @cache.link(1, ann)
    @cache.link(2, contact("bob@shop.test"))
    merged = @double.ask("POST", "/crm/v3/objects/contacts/merge", { primaryObjectId: ann, objectIdToMerge: other }).fetch("id")
    done = Vidcache::Reconcile.new(rate: 1000).run
    assert_equal({ read: 2, calls: 2, changes: 0, users: 0, conflicts: 0 }, done)
    assert_equal [merged.to_i, :agreed], [@cache.resolve(1), @cache.decide(1, "ann@shop.test").reason]
    assert_equal :agreed, @cache.decide(2, "bob@shop.test").reason
  end

  def test_who_hubspot_does_not_know_or_has_no_email_of_is_not_asked_for_again_at_once
    nameless = @double.ask("POST", "/crm/v3/objects/contacts", { properties: { firstname: "Ann" } }).fetch("id")
    @cache.import([[1, 777], [2, nameless]])
    assert_equal 2, Vidcache::Reconcile.new(rate: 1000).run[:read]
    assert_equal 0, Vidcache::Reconcile.new(rate: 1000).run[:read]
    assert_equal 2, Vidcache::Reconcile.new(rate: 1000, again: 0).run[:read]
    assert_equal %i[email_unconfirmed email_unconfirmed], [1, 2].map { |user| @cache.decide(user, "ann@shop.test").reason }
  end

  def test_what_was_confirmed_long_ago_is_read_again
    vid = contact("ann@shop.test")
    @cache.record(1, { id: vid, properties: { email: "ann@shop.test" }, updatedAt: (Time.now - 90).utc.iso8601(3) })
    # At HubSpot, and its webhook was lost.
    @double.ask("PATCH", "/crm/v3/objects/contacts/#{vid}", { properties: { email: "ann@home.test" } })
    assert_equal 0, Vidcache::Reconcile.new(rate: 1000).run[:read]
    assert_equal :agreed, @cache.decide(1, "ann@shop.test").reason
    assert_equal 1, Vidcache::Reconcile.new(rate: 1000, old: 60).run[:read]
    assert_equal :email_differs, @cache.decide(1, "ann@shop.test").reason
    assert_equal 0, Vidcache::Reconcile.new(rate: 1000, old: 60).run[:read]
  end

  def test_a_merge_a_deletion_and_a_restoration_that_a_webhook_tells_are_read_soon_and_once
    user = User.create!(email: "ann@shop.test")
    vid = contact(user.email).to_i
    answer = { id: vid, properties: { email: user.email }, updatedAt: (Time.now - 3600).utc.iso8601(3) }
    { deletion: {}, restore: {}, merge: { primaryObjectId: vid, mergedObjectIds: [456], newObjectId: vid } }.each do |what, more|
      @cache.record(user.id, answer)
      jobs.clear
      Vidcache::ReconcileJob.forget_soon
      hear(what, vid, **more)
      assert_equal :email_unconfirmed, reason(user), what
      hear(:deletion, 4711)
      assert_equal ["Vidcache::ReconcileJob"], jobs.map { |job| job["job_class"] }, "one for all: #{what}"
      assert_in_delta Time.now.to_f + (TestStore.database? ? 60 : Vidcache::ReconcileJob::WAIT), jobs.first[:at], 5
      Vidcache::ReconcileJob.perform_now
      assert_equal :email_unconfirmed, reason(user), "a read that was begun too early says nothing: #{what}"
      sleep 0.2
      now = Time.now
      Time.stub(:now, now + LATER) { Vidcache::ReconcileJob.perform_now } # As if the wait were over.
      assert_equal :agreed, reason(user), what
    end
  end

  def test_new_users_and_changes_whose_jobs_were_lost_get_another
    lost = User.create!(email: "lost@shop.test")
    known = agreed_user("known@shop.test")
    User.create!(email: nil)
    known.update!(email: "new@shop.test")
    jobs.clear
    with_options(page_deadline: 0.2, quiet_period: 0.3) do
      assert_equal 0, Vidcache::Reconcile.new(User, grace: 3600).run[:users], "a new user's own job has an hour"
      jobs.clear
      assert_equal 1, Vidcache::Reconcile.new(User, grace: 0).run[:users], "whose change is on its way is left to that"
      assert_equal [lost.to_global_id.to_s], jobs.map { |job| job["arguments"][0]["_aj_globalid"] }.uniq
    end
  end

  def test_who_is_not_linked_is_looked_for_a_hundred_a_call_and_linked
    uuids = Array.new(101) { |n| format("0188d3c4-5e6f-7a8b-9c0d-%012d", n) }
    uuids.each { |uuid| Person.create!(uuid: uuid, mail: "#{uuid}@shop.test") }
    vid = contact("#{uuids[7]}@SHOP.test")
    jobs.clear
    assert_equal({ read: 0, calls: 2, changes: 0, users: 1, conflicts: 0 }, Vidcache::Reconcile.new(Person, rate: 1000).run)
    assert_equal [vid.to_i, :agreed], [@cache.resolve(uuids[7]), reason(Person.find(uuids[7]))]
    assert_empty jobs, "and nobody is made: of a row without a time nobody knows that it is new"
    assert_equal({ read: 0, calls: 1, changes: 0, users: 0, conflicts: 0 }, Vidcache::Reconcile.new(Person, rate: 1000).run)
    assert_equal 100, Vidcache::Reconcile.new(Person, rate: 1000, create: true).run[:users], "the app says so"
    assert_equal 100, jobs.size
  end

  def test_an_email_that_hubspot_takes_for_none_costs_some_calls_and_hides_nobody
    people = Array.new(64) { |n| Person.create!(uuid: format("0188d3c4-5e6f-7a8b-9c0d-%012d", n), mail: "p#{n}@shop.test") }
    people[40].update_columns(mail: "no email at all")
    found = contact(people[41].mail)
    reader = Class.new(Vidcache::ContactReader) do
      # The double takes any email in a batch. HubSpot is not known to.
      def call(_method, _path, body = nil)
        return super if body[:inputs].all? { |input| input[:id].include?("@") }

        @calls += 1
        raise Vidcache::Refused, "HubSpot takes the email for none"
      end
    end.new(rate: 1000)
    assert_equal 1, Vidcache::Unlinked.new(Person, reader).find(people.each(&:reload))
    assert_equal found.to_i, @cache.resolve(people[41].uuid)
    assert_operator reader.calls, :<=, 13
  end

  def test_the_column_s_contact_is_linked_without_being_asked_for_by_email
    User.class_eval { self.vidcache_vid_attribute = "name" }
    user = User.create!(email: "ann@shop.test", name: contact("ann@shop.test"), created_at: Time.now - 7200)
    other = User.create!(email: "bob@shop.test", name: user.name, created_at: Time.now - 7200)
    assert_equal({ read: 1, calls: 1, changes: 0, users: 1, conflicts: 0 }, Vidcache::Reconcile.new(User, rate: 1000).run)
    assert_equal :agreed, reason(user)
    assert_nil @cache.resolve(other.id), "the app's word stands against making one"
    assert_equal [Vidcache::VidTaken], @reported.map(&:class)
  ensure
    User.class_eval { self.vidcache_vid_attribute = nil }
  end

  def test_a_backfill_from_a_column_confirms_what_it_links
    users = %w[ann@shop.test bob@shop.test].map { |email| User.create!(email: email, name: contact(email)) }
    output = StringIO.new
    Vidcache::Backfill.new(User, vid: "name", output: output, rate: 1000).run
    assert_equal "vidcache: 2 of 2 users, 2 linked\nvidcache: 2 contacts were read from HubSpot\n", output.string
    assert_equal %i[agreed agreed], users.map { |user| reason(user) }
  end

  def test_a_conflict_is_over_once_somebody_merged_the_two_or_let_the_email_go
    user = User.create!(email: "new@shop.test")
    mine = contact("old@shop.test")
    holder = contact("new@shop.test")
    @cache.link(user.id, mine)
    conflict(user, holder)
    assert_equal 0, Vidcache::Reconcile.new(User, rate: 1000).run[:conflicts], "it stands"
    assert_empty outstanding

    @double.ask("PATCH", "/crm/v3/objects/contacts/#{holder}", { properties: { email: "elsewhere@shop.test" } })
    jobs.clear
    Vidcache::Reconcile.new(User, rate: 1000).run
    token = tokens.last
    assert @cache.change_outstanding?(user.id, token), "HubSpot is told again, after a quiet period"
    answer = @double.ask("PATCH", "/crm/v3/objects/contacts/#{mine}", { properties: { email: "new@shop.test" } })
    @cache.record(user.id, answer, change: token)
    assert_equal 1, Vidcache::Reconcile.new(User, rate: 1000).run[:conflicts], "agreed"
    assert_empty @cache.conflicts

    conflict(user, holder)
    merged = @double.ask("POST", "/crm/v3/objects/contacts/merge", { primaryObjectId: mine, objectIdToMerge: holder }).fetch("id").to_i
    assert_equal 1, Vidcache::Reconcile.new(User, rate: 1000).run[:conflicts], "by somebody, and no webhook came"
    assert_equal [merged, :agreed], [@cache.resolve(user.id), reason(user)]
  end

  def test_two_contacts_are_merged_for_a_person_who_says_so_twice
    user = User.create!(email: "new@shop.test")
    mine = contact("old@shop.test")
    holder = contact("new@shop.test")
    @cache.link(user.id, mine)
    conflict(user, holder)
    line = "user #{user.id}, contact #{mine}: contact #{holder} holds their email, since "
    assert_match(/\A#{line}\S+Z\n1 conflicts\n\z/, task("conflicts"))
    said = task("merge", "CONFLICT" => user.id.to_s)
    assert_match(/\A#{line}.*contact #{mine} keeps its values, contact #{holder} is merged into it.*nothing was done/m, said)
    assert_equal %w[new@shop.test old@shop.test], @double.emails
    said = task("merge", "CONFLICT" => user.id.to_s, "APPLY" => "1")
    assert_match(/merged: contact #{@cache.resolve(user.id)} lives\n\z/, said)
    assert_equal %w[old@shop.test], @double.emails
    assert_equal "0 conflicts\n", task("conflicts")
    assert_equal "vidcache: user #{user.id} has no conflict", assert_raises(SystemExit) { task("merge", "CONFLICT" => user.id.to_s) }.message
    assert_equal :email_differs, reason(user), "their own email is the second one now: a person decides"
  end

  def test_a_limit_of_hubspot_s_is_obeyed
    @cache.import([[1, contact("ann@shop.test")]])
    @double.configure(rate_limit_next: 2)
    slept = []
    Vidcache::ContactReader.class_eval { define_method(:sleep) { |seconds| slept << seconds } }
    assert_equal({ read: 1, calls: 3, changes: 0, users: 0, conflicts: 0 }, Vidcache::Reconcile.new(rate: 1_000_000).run)
    assert_equal [10, 10], slept.reject { |seconds| seconds < 0.01 }.map(&:round)
    @double.configure(rate_limit_next: 100)
    @cache.import([[2, 900]])
    assert_raises(Vidcache::RateLimited) { Vidcache::Reconcile.new(rate: 1_000_000).run }
  ensure
    Vidcache::ContactReader.class_eval { remove_method(:sleep) }
    @double.configure(rate_limit_next: 0)
  end

  private

  def contact(email)
    @double.ask("POST", "/crm/v3/objects/contacts", { properties: { email: email } }).fetch("id")
  end

  def task(name, env = {})
    before = ENV.to_h
    ENV.update(env)
    Rake.application = Rake::Application.new
    Rake::Task.define_task(:environment)
    load "vidcache/rails/tasks.rake"
    capture_io { Rake::Task["vidcache:#{name}"].invoke }.first
  ensure
    ENV.replace(before)
  end

  def conflict(user, holder)
    refused = { status: "error", category: "CONFLICT", message: "Contact already exists. Existing ID: #{holder}" }
    assert_raises(Vidcache::ContactConflict) { @cache.record(user.id, refused) }
    assert_equal [[user.id.to_s, @cache.resolve(user.id), holder.to_i, :email_held]],
                 @cache.conflicts.map { |conflict| conflict.to_h.values_at(:user_id, :vid, :holder, :why) }
  end

  # As the webhook's app does after it has checked who signed.
  def hear(what, vid, **more)
    event = { portalId: 62_515, occurredAt: (Time.now.to_f * 1000).to_i, subscriptionType: "contact.#{what}", objectId: vid, **more }
    Vidcache.stub(:verify_signature, nil) do
      TestApp.config.vidcache.client_secret = "secret"
      answer = Vidcache::Webhook.call("REQUEST_METHOD" => "POST", "rack.input" => StringIO.new([event].to_json), "HTTP_HOST" => "shop.test",
                                      "rack.url_scheme" => "https", "PATH_INFO" => "/hubspot/webhooks")
      assert_equal 204, answer.first
    end
  ensure
    TestApp.config.vidcache.client_secret = nil
  end
end
