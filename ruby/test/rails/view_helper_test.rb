# frozen_string_literal: true

require_relative "helper"

class PagesController < ActionController::Base
  content_security_policy do |policy|
    policy.script_src :self
  end

  cattr_accessor :user, :options, :before

  def show
    instance_exec(&before) if before
    render inline: "<p>A page</p><%= hubspot_tracking_tag(controller.user, **controller.options) %>"
  end

  def cached
    render inline: "<p>A page</p><% cache('x') do %><%= hubspot_tracking_tag(controller.user) %><% end %>"
  end

  def cached_sign_out
    render inline: "<p>A page</p><% cache('y') do %><%= hubspot_signed_out_tag %><% end %>"
  end

  # As an app would write it.
  def sign_out
    reset_session
    flash[:hubspot_signed_out] = true
    redirect_to "/home"
  end

  def home
    render inline: "<%= flash[:hubspot_signed_out] ? hubspot_signed_out_tag(**controller.options) : hubspot_tracking_tag(controller.user) %>"
  end

  def twice
    render inline: "<%= hubspot_tracking_tag(controller.user) %><%= hubspot_tracking_tag(controller.user) %>"
  end
end

# Sends a part of the page before its action is over.
class LivePagesController < ActionController::Base
  include ActionController::Live

  cattr_accessor :user

  def show
    response.headers["CDN-Cache-Control"] = "max-age=3600"
    response.stream.write(render_to_string(inline: "<%= hubspot_tracking_tag(controller.user) %>"))
    response.stream.write("<p>More of it</p>")
  ensure
    response.stream.close
  end
end

TestApp.add_routes do
  get "/page", to: "pages#show"
  get "/live", to: "live_pages#show"
  get "/twice", to: "pages#twice"
  get "/cached", to: "pages#cached"
  get "/cached_sign_out", to: "pages#cached_sign_out"
  get "/sign_out", to: "pages#sign_out"
  get "/home", to: "pages#home"
end

class Vidcache::ViewHelperTest < Vidcache::RailsTest
  def test_who_looks_at_the_app_as_another_user_is_not_told_to_be_that_user
    PagesController.user = agreed_user
    assert_includes get("/page"), "ann@shop.test"
    PagesController.options = { impersonated: true }
    html = get("/page")
    assert_includes html, "hs-script-loader"
    refute_match(/ann@shop\.test|vid:901/, html)
    PagesController.user = nil
    assert_includes get("/page"), "hs-script-loader"
  end

  def setup
    super
    PagesController.user = nil
    PagesController.options = {}
    PagesController.before = nil
    TestApp.config.content_security_policy_nonce_generator = nil
    TestApp.env_config["action_dispatch.content_security_policy_nonce_generator"] = nil
    @session = ActionDispatch::Integration::Session.new(TestApp)
  end

  def test_an_agreed_user_is_named_by_email_and_id_and_the_page_is_kept_from_caches
    html = page_of(agreed_user)
    assert_equal({ "id" => "vid:901", "email" => "ann@shop.test" }, said(html))
    assert_equal "private, no-store", cache_control
  end

  def test_it_is_html_safe_and_not_escaped_in_a_template
    assert_predicate view.hubspot_tracking_tag(agreed_user), :html_safe?
    assert_predicate view.hubspot_tracking_tag(nil), :html_safe?
    assert_includes page_of(nil), "<script"
  end

  def test_an_email_that_wants_out_of_its_string_stays_in
    html = page_of(agreed_user(%q("</script><script>alert('1')//"@shop.test)))
    assert_equal %q("</script><script>alert('1')//"@shop.test), said(html)["email"]
    assert_equal 2, html.scan("</script>").size
  end

  def test_while_a_change_is_outstanding_the_page_gives_the_id_alone
    user = agreed_user
    user.update!(email: "ann@new.test")
    assert_equal({ "id" => "vid:901" }, said(page_of(user)))
    assert_equal "private, no-store", cache_control
  end

  def test_a_visitor_who_is_not_signed_in_gets_the_loader_and_no_identity
    assert_empty said(page_of(nil))
    refute_includes cache_control, "no-store"
  end

  def test_a_user_whom_hubspot_does_not_know_gets_the_loader_and_no_identity
    assert_empty said(page_of(User.create!(email: "ann@shop.test")))
    refute_includes cache_control, "no-store"
  end

  def test_blank_emails_and_what_is_no_email_give_the_id_alone
    user = agreed_user
    [nil, "", "  ", "ann", "a@\u0000b", "\xFF@b.test", "x@#{"y" * 300}.test"].each do |email|
      user.email = email
      assert_equal({ "id" => "vid:901" }, said(page_of(user)), email.inspect)
    end
    assert_empty @reported
  end

  def test_the_nonce_is_the_app_s_or_the_one_given_or_none
    TestApp.env_config["action_dispatch.content_security_policy_nonce_generator"] = ->(_) { "n0nce" }
    assert_equal %w[n0nce n0nce], page_of(nil).scan(/<script[^>]* nonce="([^"]*)"/).flatten
    PagesController.options = { nonce: "other" }
    assert_equal %w[other other], page_of(nil).scan(/ nonce="([^"]*)"/).flatten
    PagesController.options = { nonce: false }
    refute_includes page_of(nil), " nonce="
    PagesController.options = {}
    TestApp.env_config["action_dispatch.content_security_policy_nonce_generator"] = nil
    refute_includes page_of(nil), " nonce="
  end

  def test_a_view_without_a_controller_has_its_tag_too
    html = ActionView::Base.empty.hubspot_tracking_tag(agreed_user)
    assert_equal "ann@shop.test", said(html)["email"]
    assert_empty @reported
  end

  def test_what_the_action_said_of_caches_gives_way_unless_it_is_no_store_already
    user = agreed_user
    PagesController.before = -> { expires_in 1.hour, public: true }
    page_of(user)
    assert_equal "private, no-store", cache_control
    PagesController.before = -> { fresh_when etag: "x", public: true, last_modified: Time.at(0) }
    page_of(user)
    assert_equal "private, no-store", cache_control
    PagesController.before = -> { response.headers["Cache-Control"] = "no-store" }
    page_of(user)
    assert_equal "no-store", cache_control
    PagesController.before = -> { expires_in 1.hour, public: true }
    page_of(nil)
    assert_equal "max-age=3600, public", cache_control
  end

  def test_a_page_that_is_sent_while_its_action_runs_is_kept_from_caches_too
    LivePagesController.user = agreed_user
    assert_equal "ann@shop.test", said(get("/live"))["email"]
    assert_equal "private, no-store", cache_control
    assert_nil @session.response.headers["CDN-Cache-Control"]
    assert_empty @reported
  end

  def test_without_no_store_a_page_is_private_and_nobody_can_say_that_it_has_not_changed
    with_options(no_store: false) do
      user = agreed_user
      PagesController.before = -> { fresh_when etag: "x", public: true, last_modified: Time.at(0) }
      page_of(user)
      assert_equal "private, no-cache", cache_control
      assert_nil @session.response.headers["Last-Modified"]
      # Rack's own, of the body, which has its time in it.
      etag = @session.response.headers["ETag"]
      assert_match %r{\AW/}, etag
      refute_equal %(W/"#{ActiveSupport::Digest.hexdigest("x")}"), etag
      PagesController.before = nil
      @session.get("/page", headers: { "If-None-Match" => etag, "If-Modified-Since" => Time.now.httpdate })
      assert_equal 200, @session.response.status
      PagesController.before = -> { response.headers["Cache-Control"] = "no-store" }
      page_of(user)
      assert_equal "no-store", cache_control
      PagesController.before = nil
      get "/twice"
      assert_equal "private, no-cache", cache_control
      page_of(nil)
      refute_includes cache_control, "no-cache"
    end
  end

  def test_the_page_after_a_sign_out_ends_the_cookie_s_link_and_the_next_one_does_not
    PagesController.user = agreed_user
    @session.get("/sign_out")
    html = get("/home")
    assert_includes html, %("out":true})
    assert_empty said(html)
    assert_equal "private, no-store", cache_control
    refute_includes get("/home"), %("out":true)
    assert_equal %w[n n], view.hubspot_signed_out_tag(nonce: "n").scan(/ nonce="([^"]*)"/).flatten
    assert_predicate view.hubspot_signed_out_tag, :html_safe?
    assert_empty @reported
  end

  def test_the_tag_after_a_sign_out_keeps_the_rules_of_the_others
    assert_empty view.hubspot_signed_out_tag(consent: false)
    with_options(respect_do_not_track: true) do
      @session.get("/sign_out")
      @session.get("/home", headers: { "Sec-GPC" => "1" })
      assert_equal "", @session.response.body
    end
    @session.get("/cached_sign_out")
    assert_equal 500, @session.response.status
    assert_includes LOG.string, "hubspot_signed_out_tag stands in a fragment cache"
    with_settings(portal_id: nil) { assert_empty view.hubspot_signed_out_tag }
    with_settings(portal_id: "no portal") { assert_empty view.hubspot_signed_out_tag }
    assert_kind_of Vidcache::Error, @reported.first
  end

  def test_without_a_portal_it_renders_nothing_and_says_nothing
    Vidcache.cache = nil
    assert_equal "<p>A page</p>", page_of(User.create!(email: "ann@shop.test"))
    assert_predicate view.hubspot_tracking_tag(nil), :html_safe?
    assert_empty @reported
    assert_raises(Vidcache::NotConfigured) { Vidcache.cache }
  end

  def test_a_cache_that_is_closed_or_broken_costs_the_tag_and_not_the_page
    user = agreed_user
    @cache.close
    assert_fails(user, Vidcache::Closed)
    assert_empty said(page_of(nil)), "a visitor who is not signed in needs no file"
    return if TestStore.database?

    garbage = File.join(@dir, "garbage.vidcache")
    File.write(garbage, "no database" * 1000)
    with_settings(path: garbage) { assert_fails(user, Vidcache::NotACache) }
    with_settings(path: "#{garbage}/below") { assert_fails(user, Vidcache::CannotOpen) }
    with_settings(portal_id: "4711", path: "#{@dir}/hubspot.vidcache") { assert_fails(user, Vidcache::WrongPortal) }
    with_settings(portal_id: "no portal") { assert_fails(user, Vidcache::Error) }
  end

  def test_whatever_is_given_for_a_user_the_page_goes_out
    assert_fails(Object.new, Vidcache::NoUser)
    assert_includes vidcache_lines.last, "hubspot_tracking_tag was given Object, which has no `has_vid`"
    assert_fails(User.new(email: "ann@shop.test"), Vidcache::NoUser)
    assert_includes vidcache_lines.last, "it is not saved yet"
    broken = Object.new
    broken.define_singleton_method(:vidcache_key) { raise NotImplementedError, "ann@shop.test" }
    assert_fails(broken, Vidcache::Withheld)
    assert_includes @reported.last.message, "NotImplementedError"
    missing = Object.new
    missing.define_singleton_method(:vidcache_key) { raise NotImplementedError, "not yet" }
    assert_fails(missing, NotImplementedError)
  end

  def test_a_listener_that_raises_does_not_break_the_page_either
    subscription = ActiveSupport::Notifications.subscribe("failure.vidcache") { raise "listener" }
    user = agreed_user
    @cache.close
    assert_equal "<p>A page</p>", page_of(user)
  ensure
    ActiveSupport::Notifications.unsubscribe(subscription)
  end

  def test_rails_own_error_reporter_hears_of_it_where_there_is_one
    heard = []
    reporter = Object.new
    reporter.define_singleton_method(:report) { |error, **options| heard << [error.class, options] }
    Rails.define_singleton_method(:error) { reporter } # Rails 7.0 and later have it.
    user = agreed_user
    @cache.close
    assert_fails(user, Vidcache::Closed)
    assert_equal [[Vidcache::Closed, true]], heard.map { |error, options| [error, options[:handled]] }
  ensure
    Rails.singleton_class.remove_method(:error)
  end

  def test_a_failure_is_reported_once_per_page
    PagesController.user = agreed_user
    @cache.close
    2.times { get "/twice" }
    assert_equal 2, @reported.size
    assert_equal 2, LOG.string.scan("vidcache: the page goes out without").size
  end

  def test_no_personal_data_reaches_the_log
    user = User.new(email: "ann@shop.test")
    # As Ruby before 3.3 says it of a name that it does not know.
    user.define_singleton_method(:vidcache_key) { raise NameError, "undefined local variable for #{inspect}" }
    assert_fails(user, Vidcache::Withheld)
    refute_includes @reported.last.full_message, "ann@shop.test"
    refute_includes vidcache_lines.join, "ann@shop.test"
    assert_match(/NameError at .*\.rb:\d+/, vidcache_lines.join)
  end

  def test_a_file_that_cannot_be_opened_is_not_tried_for_every_page
    garbage = File.join(@dir, "garbage.vidcache")
    File.write(garbage, "no database" * 1000)
    with_settings(path: garbage) do
      assert_fails(nil, Vidcache::NotACache)
      File.delete(garbage)
      assert_fails(nil, Vidcache::NotACache)
      sleep Vidcache::REOPEN_AFTER
      assert_includes page_of(nil), "<script"
    ensure
      Vidcache.cache.close
    end
  end

  def test_in_a_fragment_cache_it_is_loud_in_development_and_says_nothing_elsewhere
    PagesController.user = agreed_user
    @session.get("/cached")
    assert_equal 500, @session.response.status
    assert_includes LOG.string, "hubspot_tracking_tag stands in a fragment cache"
    assert_equal :in_fragment_cache, Vidcache::InFragmentCache.new.code
    in_production { assert_equal "<p>A page</p>", get("/cached") }
    assert_equal [Vidcache::InFragmentCache], @reported.map(&:class)
  end

  def test_without_consent_or_with_do_not_track_there_is_nothing
    user = agreed_user
    PagesController.options = { consent: false }
    assert_equal "<p>A page</p>", page_of(user)
    PagesController.options = { consent: true }
    assert_includes page_of(user), "ann@shop.test"
    settings = Vidcache.settings
    Vidcache.settings = nil # As the app's configuration is at each moment.
    %w[DNT Sec-GPC].each do |header|
      PagesController.user = user
      @session.get("/page", headers: { header => "1" })
      assert_includes @session.response.body, "ann@shop.test", "only where the app wants it"
      TestApp.config.vidcache.respect_do_not_track = true
      @session.get("/page", headers: { header => "1" })
      assert_equal "<p>A page</p>", @session.response.body
      @session.get("/page", headers: { header => "0" })
      assert_includes @session.response.body, "ann@shop.test"
    ensure
      TestApp.config.vidcache.respect_do_not_track = nil
    end
  ensure
    Vidcache.settings = settings
  end

  def test_events_and_page_views_are_pushed_once_and_stay_inside_their_script
    html = view.hubspot_event_tag("signed_up", { plan: "</script><!--\u2028", count: 2 }, nonce: "n\"0")
    assert_predicate html, :html_safe?
    assert_equal 1, html.scan("</script>").size
    assert_includes html, %(<script nonce="n&quot;0">)
    assert_includes html, 'q.push(["trackCustomBehavioralEvent",{"name":"signed_up","properties":{"plan":"\\u003c/script\\u003e'
    refute_equal html, view.hubspot_event_tag("signed_up"), "each rendering is its own event"
    assert_includes view.hubspot_page_view_tag("/step/2"), 'q.push(["setPath","/step/2"]);q.push(["trackPageView"]);'
    assert_includes view.hubspot_path_tag("/reset"), 'q.push(["setPath","/reset"]);}'
    assert_includes view.hubspot_do_not_track_tag, 'q.push(["doNotTrack"]);'
    assert_includes view.hubspot_revoke_consent_tag, 'q.push(["revokeCookieConsent"]);'
    assert_empty view.hubspot_event_tag("x", Class.new { def as_json(*) = raise("boom") }.new)
    assert_equal [RuntimeError], @reported.map(&:class)
    with_settings(portal_id: nil) { assert_empty view.hubspot_event_tag("x") }
  end

  def test_who_listens_hears_why_a_page_named_no_email
    heard = []
    user = agreed_user
    page_of(user)
    subscriptions = %w[decision.vidcache resolve_miss.vidcache].map do |name|
      ActiveSupport::Notifications.subscribe(name) { |*, payload| heard << [name, payload] }
    end
    page_of(user)
    assert_empty heard, "agreed"
    user.update!(email: "ann@new.test")
    page_of(user)
    assert_equal [["decision.vidcache", { user_id: user.id, reason: :change_outstanding }]], heard
    heard.clear
    page_of(User.create!(email: "bob@shop.test"))
    assert_equal %w[decision.vidcache resolve_miss.vidcache], heard.map(&:first)
    assert_equal :not_linked, heard.first.last[:reason]
    refute_includes vidcache_lines.join, "bob"
  ensure
    subscriptions&.each { |subscription| ActiveSupport::Notifications.unsubscribe(subscription) }
  end

  private

  def in_production
    Rails.env = "production"
    yield
  ensure
    Rails.env = "development"
  end

  def get(path)
    @session.get(path)
    assert_equal 200, @session.response.status, @session.response.body[0, 2000]
    @session.response.body
  end

  def page_of(user)
    PagesController.user = user
    get "/page"
  end

  def view
    PagesController.new.tap do |controller|
      controller.set_request!(ActionDispatch::TestRequest.create)
      controller.set_response!(ActionDispatch::Response.create)
    end.view_context
  end

  def cache_control
    @session.response.headers["Cache-Control"].to_s
  end

  # @return [Hash] what the page tells HubSpot
  def said(html)
    JSON.parse(html[%r{\(window,document,(\{.*\})\);</script>}, 1]).slice("id", "email")
  end

  def assert_fails(user, error)
    @reported.clear
    before = vidcache_lines.size
    assert_equal "<p>A page</p>", page_of(user)
    assert_equal 1, @reported.size
    assert_kind_of error, @reported.first
    assert_equal before + 1, vidcache_lines.size
  end

  def vidcache_lines
    LOG.string.lines.grep(/vidcache:/)
  end

  def with_settings(portal_id: 62_515, **options)
    Vidcache.cache = nil
    config = ActiveSupport::OrderedOptions.new.merge(portal_id: portal_id, **options)
    app = Struct.new(:config, :root, :secret_key_base).new(Struct.new(:vidcache).new(config), Pathname.new(@dir), "0" * 64)
    Vidcache.settings = Vidcache::Settings.new(app)
    yield
  ensure
    Vidcache.settings = nil
    Vidcache.cache = @cache
  end
end
