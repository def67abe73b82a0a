# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"
require "minitest/mock"
require "rake"
require "socket"

# What people get wrong, named when a server boots, by `rails vidcache:check`, or in the error itself.
class Vidcache::CheckTest < Vidcache::RailsTest
  # HubSpot, as far as a token is concerned.
  class Api
    Answer = Struct.new(:code, :body)

    def initialize(status, info = {})
      @status = status
      @info = info
    end

    def call(method, _path, _body = nil)
      return Answer.new("404", "") if method == "POST" && @info.empty?

      Answer.new(@status.to_s, JSON.generate(@info))
    end
  end

  class OtherJobName < ActiveRecord::Base
    self.table_name = "users"
    has_vid prefix: "other-", job: "HubSpotContactJob"
  end

  class MisspeltColumn < ActiveRecord::Base
    self.table_name = "users"
    has_vid prefix: "misspelt-", vid: :hubspot_id, job: "HubspotContactJob"
  end

  BOTH = { "hubId" => 62_515, "scopes" => %w[crm.objects.contacts.read crm.objects.contacts.write] }.freeze

  def setup
    super
    TestApp.config.vidcache.portal_id = 62_515
    Rake.application = Rake::Application.new
    Rake::Task.define_task(:environment)
    load "vidcache/rails/tasks.rake"
  end

  def teardown
    TestApp.config.vidcache.portal_id = Vidcache::HubspotHttp.stand_in = nil
    super
  end

  def test_a_job_that_does_not_exist_and_a_column_that_does_not_are_named
    assert_includes Vidcache::Check.model(OtherJobName).join, 'OtherJobName says `has_vid job: "HubSpotContactJob"`, and there is no such class'
    assert_includes Vidcache::Check.model(MisspeltColumn).join, "has_vid vid: :hubspot_id`, and users has no such column"
    error = assert_raises(Vidcache::NotConfigured) { OtherJobName.create!(email: "ann@shop.test") }
    assert_includes error.message, "rails generate vidcache:install"
    assert_empty Vidcache::Check.model(User)
    User.stub(:method_defined?, false) { assert_includes Vidcache::Check.model(User).join, "no job can be given a User" }
  end

  def test_a_server_names_them_when_it_boots
    was = $0
    $0 = "puma"
    Vidcache::Keys.stub(:models, [OtherJobName, MisspeltColumn]) { Vidcache::Boot.look }
    assert_equal [Vidcache::NotConfigured] * 2, @reported.map(&:class)
  ensure
    $0 = was
  end

  def test_all_that_is_right_is_said_and_what_is_not_ends_the_task
    Vidcache::HubspotHttp.stand_in = Api.new(200, BOTH)
    user = agreed_user
    with_options(access_token: "pat-1") do
      output = check("USER_ID" => user.id.to_s)
      ["the portal: portal 62515", "the file: ", "the model: User", "the token: of this portal", "a page: The page names the email"]
        .each { |line| assert_includes output, "ok    #{line}" }
      refute_includes output, "WRONG"
    end
    Vidcache::HubspotHttp.stand_in = Api.new(200, BOTH.merge("hubId" => 1))
    assert_wrong "it belongs to portal 1, and config.vidcache.portal_id is 62515"
    Vidcache::HubspotHttp.stand_in = Api.new(200, BOTH.merge("scopes" => %w[crm.objects.contacts.read]))
    assert_wrong "it lacks the scope crm.objects.contacts.write"
    Vidcache::HubspotHttp.stand_in = Api.new(401)
    assert_wrong "HubSpot does not take it"
    Vidcache::HubspotHttp.stand_in = Api.new(403)
    assert_wrong "it may not read contacts"
  end

  def test_the_webhook_is_called_with_a_signed_delivery_of_nothing
    server = TCPServer.new("127.0.0.1", 0)
    thread = Thread.new { loop { answer(server.accept) } }
    address = "http://127.0.0.1:#{server.addr[1]}/hubspot/webhooks"
    with_options(client_secret: "y" * 36, webhook_url: address) { assert_includes check, "ok    the webhook: #{address} is reached" }
    with_options(client_secret: "y" * 36, webhook_url: "#{address}/none") { assert_wrong "there is no such route" }
    with_options(client_secret: "y" * 36) { assert_wrong "config.vidcache.webhook_url is not set" }
  ensure
    thread&.kill&.join
    server&.close
  end

  def test_without_a_portal_it_says_so_and_no_more
    TestApp.config.vidcache.portal_id = nil
    assert_wrong "config.vidcache.portal_id is not set: vidcache does nothing"
  end

  private

  # As the app would.
  def answer(socket)
    path = socket.gets.split[1]
    headers = {}
    while (line = socket.gets.chomp) != ""
      name, value = line.split(": ", 2)
      headers["HTTP_#{name.upcase.tr("-", "_")}"] = value
    end
    body = socket.read(headers["HTTP_CONTENT_LENGTH"].to_i)
    env = headers.merge("REQUEST_METHOD" => "POST", "QUERY_STRING" => "", "rack.input" => StringIO.new(body))
    status = path.end_with?("/none") ? 404 : Vidcache::Webhook.call(env).first
    socket.write("HTTP/1.1 #{status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    socket.close
  end

  def check(env = {})
    before = ENV.to_h
    ENV.update({ "MODEL" => "User" }.merge(env))
    output, = capture_io do
      Rake::Task["vidcache:check"].reenable
      Rake::Task["vidcache:check"].invoke
    rescue SystemExit
      nil
    end
    output
  ensure
    ENV.replace(before)
  end

  def assert_wrong(words)
    output = with_options(access_token: "pat-1") { check }
    assert_match(/^WRONG .*#{Regexp.escape(words)}/, output)
  end
end
