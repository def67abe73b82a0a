# frozen_string_literal: true

require_relative "helper"
require_relative "support/tenants"
require "rack/mock"

# A portal per tenant: each user is looked up, told of and named in their own.
class Vidcache::PortalsTest < Vidcache::RailsTest
  include Tenants

  def test_each_portal_has_a_file_and_one_email_is_a_contact_of_each
    ann, double = [ONE, OTHER].map { |portal| sign_up("ann@shop.test", portal) }
    assert_equal %i[agreed agreed], [ann, double].map { |user| user.vidcache_decision.reason }
    assert_equal [101, 501], [Vidcache.cache(ONE).resolve(ann.vidcache_key), Vidcache.cache(OTHER).resolve(double.vidcache_key)]
    assert_nil Vidcache.cache(OTHER).resolve(ann.vidcache_key)
    assert_equal %w[hubspot.62515.vidcache hubspot.777.vidcache], Dir["#{@dir}/hubspot.*.vidcache"].map { |path| File.basename(path) }.sort

    ann.update!(email: "new@shop.test")
    assert_equal %i[change_outstanding agreed], [ann, double].map { |user| user.vidcache_decision.reason }
    drain
    assert_equal [["new@shop.test"], ["ann@shop.test"]], TenantJob.portals.values.map(&:emails)
    assert_equal :agreed, ann.vidcache_decision.reason
  end

  def test_a_default_portal_that_was_configured_too_is_no_tenants
    with_options(portal_id: 4711) do
      TestApp.config.vidcache.path = "#{@dir}/default.vidcache"
      assert_equal 4711, Vidcache.cache.portal_id
      assert_equal [ONE, OTHER], [ONE, OTHER].map { |portal| Vidcache.cache(portal).portal_id }
      assert_equal OTHER, Vidcache.in_portal(OTHER) { Vidcache.cache.portal_id }
      refute(Vidcache.in_portal(nil) { Vidcache.configured? })
    end
  end

  def test_a_rollback_abandons_the_change_where_it_was_begun_and_a_destroyed_user_is_forgotten_there
    ann = sign_up("ann@shop.test", OTHER)
    @member.transaction { ann.update!(email: "new@shop.test") && raise(ActiveRecord::Rollback) }
    sleep 0.002 # The clock of the file counts milliseconds.
    Vidcache.in_portal(ONE) { assert_empty Vidcache.cache.stale_changes(older_than: 0) }
    assert_equal :agreed, ann.reload.vidcache_decision.reason
    Vidcache.in_portal(ONE) { ann.destroy! }
    assert_nil Vidcache.cache(OTHER).resolve(ann.vidcache_key)
  end

  def test_a_page_speaks_to_its_own_portal_alone
    ann = sign_up("ann@shop.test", OTHER)
    nobody = @member.create!(email: "eve@shop.test", portal: nil)
    assert_empty jobs, "a tenant without HubSpot"
    assert_empty page(nobody)
    assert_equal "//js.hs-scripts.com/777.js", data(ann)["src"]
    assert_equal "ann@shop.test", data(ann)["email"]
    assert_nil data(ann, impersonated: true)["email"]
    assert_empty page(nil), "nobody says whose page it is"
    Vidcache.in_portal(ONE) do
      assert_equal "//js.hs-scripts.com/62515.js", data(nil)["src"]
      assert_equal [nil, "//js.hs-scripts.com/62515.js"], data(ann).values_at("email", "src"), "that portal knows nothing of her"
    end
    Vidcache.in_portal(OTHER) { assert_equal "ann@shop.test", data(ann)["email"] }
    assert_empty @reported
  end

  def test_a_user_who_moves_is_told_to_the_new_portal
    ann = sign_up("ann@shop.test", ONE)
    known = TenantJob.portals[OTHER].add("ann@shop.test")
    ann.update!(portal: OTHER)
    assert_equal [nil, 1], [data(ann)["email"], jobs.size]
    drain
    assert_equal [known, :agreed], [Vidcache.cache(OTHER).resolve(ann.vidcache_key), ann.vidcache_decision.reason]
  end

  def test_a_webhook_is_taken_in_by_the_portal_that_it_names_if_that_portals_secret_signed_it
    TestApp.config.vidcache.client_secret = ->(portal) { "secret-of-#{portal}" * 3 }
    ann, double = [ONE, OTHER].map { |portal| sign_up("ann@shop.test", portal) }
    assert_equal 401, deliver(changed(OTHER, 501), "secret-of-#{ONE}" * 3)
    assert_equal :agreed, double.vidcache_decision.reason
    assert_equal 204, deliver(changed(OTHER, 501), "secret-of-#{OTHER}" * 3)
    assert_equal %i[agreed email_differs], [ann, double].map { |user| user.vidcache_decision.reason }
    assert_equal 503, deliver(changed(4711, 501), "x" * 30), "nobody's"
    TestApp.config.vidcache.client_secret = "of one app for all of them"
    assert_equal 204, deliver(changed(4711, 501), "of one app for all of them")
    assert_equal 204, deliver(changed(ONE, 101), "of one app for all of them")
    assert_equal :email_differs, ann.vidcache_decision.reason

    Vidcache.cache = nil
    File.write("#{@dir}/hubspot.#{ONE}.vidcache", "no file of vidcache's")
    both = JSON.parse(changed(ONE, 101)) + [JSON.parse(changed(OTHER, 501)).first.merge("subscriptionType" => "contact.deletion")]
    assert_equal 503, deliver(both.to_json, "of one app for all of them"), "HubSpot sends it again"
    assert_equal :email_unconfirmed, double.vidcache_decision.reason, "what the other portal has of it is taken in"
  end

  def test_what_goes_over_all_users_goes_over_each_portal_and_leaves_the_others_users_out
    ann, double = [ONE, OTHER].map { |portal| sign_up("ann@shop.test", portal) }
    [ann, double].each { |user| user.update!(email: "new@shop.test") }
    jobs.clear
    sleep 0.25
    assert_equal 2, @member.retry_email_changes(older_than: 0)
    drain
    assert_equal %i[agreed agreed], [ann, double].map { |user| user.vidcache_decision.reason }

    lost = @member.create!(email: "lost@shop.test", portal: OTHER)
    jobs.clear
    counts = Vidcache::Portals.each { Vidcache::Backfill.new(@member, output: StringIO.new).run }
    assert_equal [{ "linked already": 1 }, { "linked already": 1, enqueued: 1 }], counts
    drain
    assert_equal :agreed, lost.vidcache_decision.reason
    said = Vidcache::Explanation.new(@member, id: double.vidcache_key, ask: false).sentences
    assert_includes said.first, "The page names the email and the id 501"
  end

  def test_what_cannot_be_kept_is_refused_in_words
    error = assert_raises(ArgumentError) { member_class("Staff") { has_vid prefix: "staff-" } }
    assert_includes error.message, "Member says `has_vid portal:`, and Staff does not"
    misspelt = member_class("Misspelt") { has_vid prefix: "misspelt-", portal: :portl, job: TenantJob }
    assert_includes Vidcache::Check.model(misspelt).join, "Misspelt says `has_vid portal: :portl`, and it has no such attribute or method"
    assert_raises(ArgumentError) { misspelt.create!(email: "ann@shop.test") }
    error = assert_raises(Vidcache::NotConfigured) { Vidcache.cache }
    assert_includes error.message, "nothing says which portal is meant"
    with_options(store: :database) { assert_raises(ArgumentError) { Vidcache.settings.check } }
    with_options(portal_id: ONE) { assert_includes assert_raises(ArgumentError) { Vidcache.settings.check }.message, "leave portal_id out" }
    with_options(portal_id: "") { assert_equal [ONE, OTHER], Vidcache.settings.check.portals }
    ["1/../x", 0, -5, "nobody's"].each do |portal|
      assert_includes assert_raises(Vidcache::NotConfigured) { Vidcache.cache(portal) }.message, "is no portal"
    end
    assert_includes assert_raises(ArgumentError) { member_class("Columned") { has_vid vid: :vid, portal: :portal } }.message, "`vid:` or `portal:`"
    with_options(portals: 62_515) { assert_raises(ArgumentError) { Vidcache.settings.check } }
  ensure
    %i[Staff Misspelt Columned].each { |name| Object.send(:remove_const, name) if Object.const_defined?(name) }
  end

  private

  def changed(portal, vid)
    [{ portalId: portal, occurredAt: (Time.now.to_f * 1000).to_i + 60_000, subscriptionType: "contact.propertyChange", objectId: vid,
       propertyName: "email", propertyValue: "ann@elsewhere.test" }].to_json
  end

  def deliver(body, secret)
    address = "http://example.org/hubspot/webhooks"
    at = (Time.now.to_f * 1000).to_i.to_s
    signature = [OpenSSL::HMAC.digest("SHA256", secret, "POST#{address}#{body}#{at}")].pack("m0")
    Rack::MockRequest.new(Vidcache::Webhook).post("/hubspot/webhooks", input: body, "HTTP_X_HUBSPOT_SIGNATURE_V3" => signature,
                                                                       "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP" => at).status
  end
end
