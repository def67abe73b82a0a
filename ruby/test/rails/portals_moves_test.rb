# frozen_string_literal: true

require_relative "helper"
require_relative "support/tenants"
require "delegate"
require "rake"

# Users who were in another portal before, and portals of which one cannot be used: nobody else pays for either.
class Vidcache::PortalsMovesTest < Vidcache::RailsTest
  include Tenants

  def test_a_destroyed_user_is_forgotten_in_every_portal_that_they_were_in
    ann, bob = %w[ann@shop.test bob@shop.test].map { |email| sign_up(email, ONE) }
    [ann, bob].each { |user| TenantJob.portals[OTHER].add(user.email) && user.update!(portal: OTHER) }
    drain
    bob.update!(portal: nil)
    assert_equal [101, 102, 501, 502], known(ONE, ann, bob) + known(OTHER, ann, bob)
    [ann, bob].each(&:destroy!)
    assert_equal [nil] * 4, known(ONE, ann, bob) + known(OTHER, ann, bob)
  end

  def test_a_user_is_forgotten_where_it_can_be_although_one_portal_cannot_be_used
    ann = sign_up("ann@shop.test", OTHER)
    breaks(ONE)
    ann.destroy!
    assert_nil Vidcache.cache(OTHER).resolve(ann.vidcache_key)
    assert_equal 1, @reported.size
  end

  def test_what_another_portal_knows_of_a_key_that_comes_again_is_forgotten_before_the_row_is_made
    ann = sign_up("ann@shop.test", ONE)
    ann.delete
    eve = @member.create!(id: ann.id, email: "eve@shop.test", portal: OTHER)
    assert_equal [Vidcache::KeyReused], @reported.map(&:class)
    eve.update_columns(portal: ONE)
    assert_equal :not_linked, eve.reload.vidcache_decision.reason
    nobody = sign_up("bob@shop.test", ONE).tap(&:delete)
    @member.create!(id: nobody.id, email: "eve@shop.test", portal: nil)
    assert_equal [nil], known(ONE, nobody)
  end

  def test_a_row_is_not_made_while_a_portal_cannot_say_whose_its_key_was
    breaks(ONE)
    [OTHER, nil].each do |portal|
      assert_raises(Vidcache::Error) { @member.create!(email: "ann@shop.test", portal: portal) }
    end
    assert_equal 0, @member.count
  end

  def test_an_email_that_stands_elsewhere_begins_its_change_in_the_users_portal
    Object.const_set(:MemberAddress, Class.new(ActiveRecord::Base) { self.table_name = "tenant_addresses" })
    ActiveRecord::Schema.define { create_table(:tenant_addresses, force: true) { |t| t.string(:text) && t.integer(:owner_id) } }
    MemberAddress.class_eval do
      has_vid_email_of :owner
      belongs_to :owner, class_name: "MailedMember"
    end
    mailed = member_class("MailedMember") do
      has_vid prefix: "mailed-", portal: :portal, job: TenantJob, email: :mail, told_by: "MemberAddress"
      define_method(:mail) { MemberAddress.find_by(owner_id: id)&.text }
    end
    ann = mailed.create!(portal: OTHER)
    address = MemberAddress.create!(owner: ann, text: "ann@shop.test")
    drain
    assert_equal :agreed, ann.vidcache_decision.reason
    address.update!(text: "new@shop.test")
    assert_equal [:change_outstanding, 1], [ann.vidcache_decision.reason, jobs.size]
  ensure
    %i[MailedMember MemberAddress].each { |name| Object.send(:remove_const, name) if Object.const_defined?(name) }
  end

  def test_the_reconcile_of_one_portal_does_not_wait_for_anothers
    sign_up("ann@shop.test", OTHER).tap { |ann| Vidcache.cache(OTHER).forget(ann.vidcache_key) }
    breaks(ONE)
    Vidcache::ReconcileJob.perform_now("Member")
    assert_equal [["Member", ONE], ["Member", OTHER]], jobs.map { |job| job["arguments"] }
    assert_raises(Vidcache::Error) { @member.retry_email_changes(older_than: 0) }
  end

  def test_a_task_goes_on_after_a_portal_that_cannot_be_used_and_names_it_at_the_end
    breaks(ONE)
    said, errors = run_task("stale")
    assert_includes said, "portal 777:\n0 outstanding"
    assert_includes errors, "vidcache: it failed in portal 62515\n"
    assert_equal "portal 777:\n0 outstanding for longer than 3600 s\n", run_task("stale", "PORTAL" => "777").first
    assert_equal [503, "portal 62515: "], [Vidcache::Health.call({}).first, Vidcache::Health.call({})[2].first[0, 14]]
    refute_includes Vidcache::Health.call({})[2].first, "777"
  end

  def test_a_task_takes_no_portal_that_is_not_listed_and_in_an_app_of_one_portal_none
    assert_equal ["", "vidcache: portal 4711 is not in config.vidcache.portals\n"], run_task("stale", "PORTAL" => "4711")
    assert_empty Dir["#{@dir}/hubspot.4711*"]
    TestApp.config.vidcache.delete(:portals)
    Vidcache.cache = @cache
    with_options(portal_id: ONE) do
      assert_equal ["0 outstanding for longer than 3600 s\n", ""], run_task("stale", "PORTAL" => "4711")
    end
  end

  def test_a_decorated_user_has_the_tag_in_an_app_of_one_portal_too
    ann = sign_up("ann@shop.test", OTHER)
    assert_equal "ann@shop.test", data(SimpleDelegator.new(ann))["email"]
    TestApp.config.vidcache.delete(:portals)
    Vidcache.cache = @cache
    user = agreed_user
    assert_equal user.email, data(SimpleDelegator.new(user))["email"]
    assert_empty @reported
  end

  def test_what_belongs_to_no_portal_is_on_pages_that_no_portal_was_said_for
    view = ActionView::Base.empty
    tags = -> { [view.hubspot_event_tag("signed_up"), view.hubspot_path_tag("/a"), view.hubspot_revoke_consent_tag, view.hubspot_do_not_track_tag] }
    assert(tags.call.none?(&:empty?))
    Vidcache.in_portal(nil) { assert(tags.call.all?(&:empty?), "a tenant without HubSpot") }
    TestApp.config.vidcache.delete(:portals)
    assert(tags.call.all?(&:empty?))
  end

  def test_a_change_ends_in_the_portal_that_it_was_begun_in_when_the_user_has_left_it
    ann = sign_up("ann@shop.test", ONE)
    known = TenantJob.portals[OTHER].add("new@shop.test")
    ann.update!(email: "new@shop.test")
    ann.update!(portal: OTHER)
    assert_equal([ONE, OTHER], jobs.map { |job| job["vidcache_portal"] })
    drain
    assert_equal ["ann@shop.test"], TenantJob.portals[ONE].emails, "nobody is told of there any more"
    [ONE, OTHER].each { |portal| assert_empty Vidcache.cache(portal).stale_changes(older_than: 0) }
    assert_equal [[known], :agreed], [known(OTHER, ann), ann.vidcache_decision.reason]

    ann.update!(email: "newer@shop.test")
    ann.update_columns(portal: nil)
    drain
    assert_empty Vidcache.cache(OTHER).stale_changes(older_than: 0)
    assert_empty @reported
  end

  def test_operators_of_one_portal_see_nobody_of_another
    Rails.cache.clear
    ann, double = [ONE, OTHER].map { |portal| @member.create!(email: "ann@shop.test", portal: portal) }
    Vidcache.in_portal(OTHER) do
      assert_equal [double], Vidcache::Web::People.unlinked(@member, 10, Time.now + 60)
      assert_equal double, @member.find_vidcache_user_by_email("ann@shop.test")
      Vidcache::Explanation::Traces.unlinked(7)
      Vidcache::Pulse.sample("conflict" => 3)
    end
    assert_equal ann, Vidcache.in_portal(ONE) { @member.find_vidcache_user_by_email("ann@shop.test") }
    assert_nil(Vidcache.in_portal(4711) { @member.find_vidcache_user_by_email("ann@shop.test") })
    assert_equal [nil, 7], [ONE, OTHER].map { |portal| Vidcache.in_portal(portal) { Vidcache::Explanation::Traces.last_unlinked }&.fetch("users") }
    assert_equal [0, 1], [ONE, OTHER].map { |portal| Vidcache.in_portal(portal) { Vidcache::Pulse.samples.size } }
    assert_includes Vidcache::Metrics.text, %(\nvidcache_unlinked_users{portal="777"} 7\n)
    assert_equal ["", "vidcache: say in which portal with PORTAL=…\n"], run_task("explain", "EMAIL" => "ann@shop.test", "MODEL" => "Member")
    drain
    said, = run_task("explain", "EMAIL" => "ann@shop.test", "MODEL" => "Member", "PORTAL" => "777")
    assert_includes said, "The page names the email and the id 501"
  end

  def test_where_a_method_gives_the_portal_the_rows_are_those_that_the_model_says
    reading = member_class("Reading") do
      has_vid prefix: "reading-", portal: :portal, job: TenantJob
      define_method(:portal) { email.start_with?("o") ? OTHER : ONE }
    end
    other, one = %w[other@shop.test one@home.test].map { |email| reading.create!(email: email) }
    one.update_columns(email: "home@shop.test")
    rows = -> { Vidcache.in_portal(OTHER) { reading.vidcache_rows.to_a } }
    assert_equal [other, one], rows.call, "the column says nothing"
    counts = -> { Vidcache.in_portal(OTHER) { Vidcache::Backfill.new(reading, output: StringIO.new).run } }
    assert_equal({ enqueued: 1 }, counts.call)
    reading.define_singleton_method(:vidcache_rows) { where("email LIKE 'o%'") }
    assert_equal [other], rows.call
    assert_equal({ enqueued: 1 }, counts.call)
  ensure
    Object.send(:remove_const, :Reading) if Object.const_defined?(:Reading)
  end

  private

  def known(portal, *users)
    Vidcache.cache(portal).resolve_many(users.map(&:vidcache_key))
  end

  # As a disk does that fails.
  def breaks(portal)
    Vidcache.cache = nil
    FileUtils.rm(Dir["#{@dir}/hubspot.#{portal}.vidcache*"])
    File.write("#{@dir}/hubspot.#{portal}.vidcache", "no file of vidcache's")
  end

  # @return [Array(String, String)] what was put out, and what was said of errors
  def run_task(name, env = {})
    Rake.application = Rake::Application.new
    Rake::Task.define_task(:environment)
    load "vidcache/rails/tasks.rake"
    before = ENV.to_h
    ENV.update(env)
    capture_io do
      Rake::Task["vidcache:#{name}"].invoke
    rescue SystemExit
      nil
    end
  ensure
    ENV.replace(before)
  end
end
