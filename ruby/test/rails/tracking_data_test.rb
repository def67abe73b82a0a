# frozen_string_literal: true

require_relative "helper"
require "vidcache/testing"

# What an app answers to its own pages. Both kinds of controller, whose answers are as those of any other app.
module DataActions
  def self.included(controller)
    controller.cattr_accessor :user, :options, :before, :after
    controller.after_action { instance_exec(&after) if after }
  end

  def nobody
    render json: {}
  end

  def plain
    instance_exec(&before) if before
    render json: hubspot_tracking_data(user, **options)
  end

  def nested
    render json: { name: "Ann", hubspot: [hubspot_tracking_data(user)] }
  end

  def signed_out
    render json: hubspot_signed_out_data
  end

  def decision
    render json: { user: user.vidcache_decision }
  end
end

class ApiDataController < ActionController::API
  include DataActions
end

class DataController < ActionController::Base
  include DataActions

  def view
    render inline: "<script id=data type='application/json'><%= json_escape(hubspot_tracking_data(controller.user).to_json).html_safe %></script>"
  end

  def cached
    render inline: "<% cache('z') do %><%= hubspot_tracking_data(controller.user).to_json %><% end %>"
  end
end

TestApp.add_routes do
  %w[plain nested signed_out decision nobody].each do |action|
    get "/data/#{action}", to: "data##{action}"
    get "/api_data/#{action}", to: "api_data##{action}"
  end
  %w[view cached hubspot_tracking_data].each { |action| get "/data/#{action}", to: "data##{action}" }
end

class Vidcache::TrackingDataTest < Vidcache::RailsTest
  include Vidcache::Testing::Minitest

  CONTROLLERS = { "/data" => DataController, "/api_data" => ApiDataController }.freeze

  def setup
    super
    CONTROLLERS.each_value { |controller| controller.user = controller.before = nil }
    CONTROLLERS.each_value { |controller| controller.options = {} }
    @session = ActionDispatch::Integration::Session.new(TestApp)
  end

  # Each test has its cache from RailsTest.
  def vidcache_start; end
  def vidcache_stop; end

  def test_an_agreed_user_is_named_and_the_answer_is_kept_from_caches
    user = agreed_user
    each_controller(user) do |path|
      assert_equal({ "ttl" => 10_000, "id" => "vid:901", "email" => "ann@shop.test" }, get("#{path}/plain").except("at"))
      assert_equal "private, no-store", cache_control
      data = get("#{path}/nested")["hubspot"].first
      assert_equal %w[at ttl id email], data.keys
      assert_in_delta Time.now.to_f * 1000, data["at"], 10_000
      assert_equal "private, no-store", cache_control
      assert_names_email "ann@shop.test", @session.response.body
    end
    user.update!(email: "ann@new.test")
    each_controller(user) { |path| assert_equal %w[at ttl id], get("#{path}/plain").keys }
  end

  def test_a_view_has_it_too
    DataController.user = agreed_user(%q("</script>'"@shop.test))
    html = text("/data/view")
    assert_equal %q("</script>'"@shop.test), JSON.parse(html[%r{json'>(.*)</script>}, 1])["email"]
    assert_equal 1, html.scan("</script>").size
    assert_equal "private, no-store", cache_control
  end

  def test_who_is_not_known_is_not_named_and_that_is_not_cached_either
    [nil, User.create!(email: "bob@shop.test")].each do |user|
      each_controller(user) do |path|
        assert_equal %w[at ttl], get("#{path}/plain").keys
        assert_equal "private, no-store", cache_control
      end
    end
  end

  def test_what_is_no_email_gives_the_id_alone
    user = agreed_user
    [nil, "  ", "ann", "a@\u0000b"].each do |email|
      user.email = email
      each_controller(user) { |path| assert_equal %w[at ttl id], get("#{path}/plain").keys, email.inspect }
    end
    assert_empty @reported
  end

  def test_after_a_sign_out_the_cookie_s_link_is_ended
    CONTROLLERS.each_key do |path|
      assert_equal({ "ttl" => 10_000, "out" => true }, get("#{path}/signed_out").except("at"))
      assert_equal "private, no-store", cache_control
    end
  end

  def test_without_consent_or_with_do_not_track_nobody_is_named
    each_controller(agreed_user) do |path, controller|
      controller.options = { consent: false }
      assert_equal %w[at ttl], get("#{path}/plain").keys
      controller.options = { consent: true }
      assert_includes get("#{path}/plain").keys, "email"
      with_options(respect_do_not_track: true) do
        %w[plain signed_out].each { |action| assert_equal %w[at ttl], get("#{path}/#{action}", "DNT" => "1").keys }
        assert_includes get("#{path}/plain", "DNT" => "0").keys, "email"
      end
    end
  end

  def test_what_the_action_said_of_caches_gives_way
    each_controller(agreed_user) do |path, controller|
      controller.before = -> { expires_in 1.hour, public: true }
      get "#{path}/plain"
      assert_equal "private, no-store", cache_control
      with_options(no_store: false) do
        controller.before = -> { fresh_when etag: "x", last_modified: Time.at(0) }
        get "#{path}/plain"
        assert_equal "private, no-cache", cache_control
        assert_nil @session.response.headers["Last-Modified"]
      end
    end
  end

  def test_what_shared_caches_believe_before_cache_control_is_taken_off
    names = %w[Surrogate-Control CDN-Cache-Control Cloudflare-CDN-Cache-Control Netlify-CDN-Cache-Control Vercel-CDN-Cache-Control
               Akamai-Cache-Control X-LiteSpeed-Cache-Control Edge-Control X-Accel-Expires]
    each_controller(agreed_user) do |path, controller|
      [true, false].each do |no_store|
        with_options(no_store: no_store) do
          controller.before = -> { names.each { |name| headers[name] = "max-age=3600" } }
          get "#{path}/plain"
          names.each { |name| assert_nil @session.response.headers[name], name }
          controller.before = -> { names.each { |name| headers[name.downcase] = "max-age=3600" } }
          get "#{path}/plain"
          names.each { |name| assert_nil @session.response.headers[name.downcase], name }
          controller.before = -> { names.each { |name| headers[name] = "max-age=3600" } && headers["Cache-Control"] = "no-store" }
          get "#{path}/plain"
          names.each { |name| assert_nil @session.response.headers[name], "#{name} beside the app's own no-store" }
        end
      end
      controller.before = nil
    end
  end

  def test_what_is_said_of_caches_after_the_page_was_rendered_gives_way_too
    each_controller(agreed_user) do |path, controller|
      controller.after = lambda do
        expires_in 1.hour, public: true
        headers["CDN-Cache-Control"] = "max-age=3600"
      end
      get "#{path}/plain"
      assert_equal "private, no-store", cache_control
      assert_nil @session.response.headers["CDN-Cache-Control"]
      with_options(no_store: false) do
        get "#{path}/plain"
        assert_equal "private, no-cache", cache_control
      end
      get "#{path}/nobody"
      assert_equal "max-age=3600, public", cache_control, "a page without an identity"
      assert_equal "max-age=3600", @session.response.headers["CDN-Cache-Control"]
    end
  ensure
    CONTROLLERS.each_value { |controller| controller.after = nil }
  end

  def test_whatever_goes_wrong_the_answer_goes_out_and_names_nobody
    user = agreed_user
    strange = Object.new
    strange.define_singleton_method(:vidcache_key) { raise NotImplementedError, "ann@shop.test" }
    each_controller(strange) { |path| assert_fails(path, %w[at ttl], Vidcache::Withheld) }
    each_controller(Object.new) { |path| assert_fails(path, %w[at ttl], Vidcache::NoUser) }
    @cache.close
    each_controller(user) { |path| assert_fails(path, %w[at ttl], Vidcache::Closed) }
    refute_includes LOG.string.lines.grep(/vidcache:/).join, "ann@"
    Vidcache.cache = nil
    with_options(portal_id: "no portal") { each_controller(user) { |path| assert_fails(path, [], Vidcache::InvalidPortal) } }
    @reported.clear
    each_controller(user) { |path| assert_empty get("#{path}/plain") } # Without a portal.
    CONTROLLERS.each_key { |path| assert_empty get("#{path}/signed_out") }
    assert_empty @reported
  end

  def test_in_a_fragment_cache_it_is_loud_in_development_and_names_nobody_elsewhere
    DataController.user = agreed_user
    @session.get("/data/cached")
    assert_equal 500, @session.response.status
    assert_includes LOG.string, "hubspot_tracking_data stands in a fragment cache"
    Rails.env = "production"
    refute_includes text("/data/cached"), "901"
    assert_equal [Vidcache::InFragmentCache], @reported.map(&:class)
  ensure
    Rails.env = "development"
  end

  def test_a_decision_that_is_rendered_by_itself_names_no_email
    each_controller(agreed_user) do |path|
      assert_equal({ "user" => { "id" => "vid:901", "reason" => "agreed" } }, get("#{path}/decision"))
    end
  end

  def test_no_request_can_call_it
    assert_empty DataController.action_methods & %w[hubspot_tracking_data hubspot_signed_out_data hubspot_do_not_track?]
    assert_empty ApiDataController.action_methods & %w[hubspot_tracking_data hubspot_signed_out_data hubspot_do_not_track?]
    @session.get("/data/hubspot_tracking_data")
    assert_equal 404, @session.response.status
  end

  def test_who_listens_hears_why_the_data_named_no_email
    heard = []
    user = agreed_user
    subscription = ActiveSupport::Notifications.subscribe("decision.vidcache") { |*, payload| heard << payload }
    each_controller(user) { |path| get "#{path}/plain" }
    assert_empty heard, "agreed"
    user.update!(email: "ann@new.test")
    DataController.user = user
    get "/data/plain"
    assert_equal [{ user_id: user.id, reason: :change_outstanding }], heard
  ensure
    ActiveSupport::Notifications.unsubscribe(subscription)
  end

  private

  def each_controller(user)
    CONTROLLERS.each do |path, controller|
      controller.user = user
      yield path, controller
    end
  end

  def text(path, headers = {})
    @session.get(path, headers: headers)
    assert_equal 200, @session.response.status, @session.response.body[0, 2000]
    @session.response.body
  end

  def get(path, headers = {})
    JSON.parse(text(path, headers))
  end

  def cache_control
    @session.response.headers["Cache-Control"].to_s
  end

  def assert_fails(path, keys, error)
    @reported.clear
    assert_equal keys, get("#{path}/plain").keys
    assert_kind_of error, @reported.first
    assert_equal 1, @reported.size
  end
end
