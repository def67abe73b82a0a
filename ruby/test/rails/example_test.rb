# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"

# examples/rails as its readers start it: Puma in cluster mode, real processes, the HubSpot double.
class Vidcache::ExampleTest < Minitest::Test
  APP = File.expand_path("../../../examples/rails", __dir__)
  QUIET_PERIOD = 4

  def setup
    skip(HubspotDouble.missing) if HubspotDouble.missing
    @processes = Processes.new
    @folder = Dir.mktmpdir("example-", SCRATCH)
    @double = HubspotDouble.new(@processes, @folder, delay_ms: 200)
  end

  def teardown
    @processes&.stop_all
  end

  def test_the_redirect_names_no_email_and_after_the_worker_the_page_names_the_new_one
    serve
    change_the_email
  end

  def test_the_same_with_sidekiq_on_a_real_redis
    skip RedisServer.missing if RedisServer.missing
    serve("JOBS" => "sidekiq", "REDIS_URL" => RedisServer.start(@processes, @folder))
    @processes.start("#{APP}/bin/worker", env: @environment, log: File.join(@folder, "sidekiq.log"))
    change_the_email
  end

  def test_the_usual_snippet_names_the_new_email_at_once
    serve("SNIPPET" => "usual")
    visitor = sign_in("user1")
    assert_equal({ "email" => "user1@shop.test" }, visitor.said)
    @double.configure(delay_ms: 4000) # However slow this machine is, the page comes first.
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    assert_equal({ "email" => "ann@new.test" }, visitor.said)
    refute_includes @double.emails, "ann@new.test", "HubSpot does not know it yet: this is the race"
    wait_for_jobs
    assert_includes @double.emails, "ann@new.test"
  end

  def test_two_changes_at_once_and_back_again
    serve
    visitor = sign_in("user2")
    %w[one@new.test two@new.test user2@shop.test].each do |email|
      visitor.get("/settings")
      visitor.submit("/settings", "email" => email)
      assert_equal %w[id], visitor.said.keys
    end
    assert_equal 3, pending
    wait_for_jobs
    visitor.get("/")
    assert_equal "user2@shop.test", visitor.said["email"]
    assert_no_duplicates
  end

  def test_an_email_that_another_contact_has_leaves_the_page_with_the_id_until_that_one_lets_it_go
    serve
    @double.create("taken@elsewhere.test")
    visitor = sign_in("user1")
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "taken@elsewhere.test")
    sleep QUIET_PERIOD + 1
    visitor.get("/")
    assert_equal [%w[id], 1], [visitor.said.keys, pending]
    assert_includes @double.emails, "user1@shop.test"
    @double.change("taken@elsewhere.test", to: "other@elsewhere.test")
    wait_for_jobs(seconds: 40)
    visitor.get("/")
    assert_equal "taken@elsewhere.test", visitor.said["email"]
    assert_no_duplicates
  end

  def test_a_hubspot_that_limits_the_rate_is_asked_again
    serve
    @double.configure(rate_limit_next: 1)
    change_the_email(seconds: 30)
  end

  def test_settings_refuse_what_is_no_email_and_nothing_is_begun
    serve
    visitor = sign_in("user1")
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "nonsense")
    assert_equal 422, visitor.status
    assert_includes visitor.page, "Email is no email address"
    assert_equal "user1@shop.test", visitor.said["email"]
    assert_equal 0, pending
  end

  def test_started_again_it_finds_its_data_as_it_left_it
    serve
    @processes.stop(@server)
    contacts = @double.emails
    serve
    assert_equal contacts, @double.emails
    assert_equal "user1@shop.test", sign_in("user1").said["email"]
  end

  private

  def serve(more = {})
    @port = Processes.free_port
    @environment = {
      "PORT" => @port.to_s, "DATA_DIR" => @folder, "USERS" => "3", "HUBSPOT_API" => @double.url, "HUBSPOT_TOKEN" => "test",
      "HUBSPOT_PORTAL" => HubspotDouble::PORTAL.to_s, "QUIET_PERIOD" => QUIET_PERIOD.to_s, "PAGE_DEADLINE" => "1",
      "SNIPPET" => "vidcache", "JOBS" => "async", "DATABASE_URL" => nil, "RAILS_ENV" => nil, "BUNDLE_GEMFILE" => nil
    }.merge(more)
    @server = @processes.start("#{APP}/bin/serve", env: @environment, log: File.join(@folder, "serve.log"))
    @processes.wait(@server, seconds: 90) { Net::HTTP.get_response(URI("http://127.0.0.1:#{@port}/up")).code == "200" rescue false } # rubocop:disable Style/RescueModifier
  end

  def sign_in(login)
    Visitor.new(@port).tap do |visitor|
      visitor.get("/")
      visitor.get("/sign_in")
      visitor.submit("/sign_in", "login" => login)
      assert_includes visitor.page, "Welcome, #{login}"
    end
  end

  def change_the_email(seconds: 20)
    visitor = sign_in("user1")
    assert_equal %w[id email], visitor.said.keys
    assert_equal "user1@shop.test", visitor.said["email"]
    assert_equal "private, no-store", visitor.headers["cache-control"]
    nonce = visitor.headers["content-security-policy"][/'nonce-([^']+)'/, 1]
    assert_equal 2, visitor.page.scan(/<script[^>]* nonce="#{Regexp.escape(nonce)}"/).size

    visitor.get("/settings")
    changed_at = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    visitor.submit("/settings", "email" => "Ann@New.Test")
    assert_equal %w[id], visitor.said.keys, "the page that the change redirects to"
    assert_equal 1, pending
    9.times { |n| visitor.get("/pages/#{n + 1}") && assert_equal(%w[id], visitor.said.keys) }
    refute_includes @double.emails, "ann@new.test"

    wait_for_jobs(seconds: seconds)
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - changed_at, :>=, QUIET_PERIOD
    visitor.get("/")
    assert_equal "ann@new.test", visitor.said["email"]
    assert_includes visitor.page, "The shop and HubSpot agree on your email."
    assert_equal %w[ann@new.test user2@shop.test user3@shop.test], @double.emails
    assert_no_duplicates
  end

  def pending
    JSON.parse(Net::HTTP.get(URI("http://127.0.0.1:#{@port}/jobs"))).fetch("pending")
  end

  def wait_for_jobs(seconds: 20)
    @processes.wait(@server, seconds: seconds) { pending.zero? }
  end

  def assert_no_duplicates
    assert_empty @double.state.fetch("duplicates")
  end
end
