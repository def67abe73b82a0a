# frozen_string_literal: true

# A Rails app with 10,000 users in all states and the operators' page, for tests/operators/walk.test.mjs:
#
#     ruby shop.rb DOUBLE_URL FOLDER
#
# Once it listens it prints one line of JSON, {"url":..,"merges":..}, and serves until SIGTERM. `GET /as/operator` and
# `GET /as/viewer` sign the browser in.

$LOAD_PATH.unshift(File.expand_path("../../lib", __dir__)) # rubocop:disable Style/SpecialGlobalVars
require "logger"
require "rails"
require "active_record/railtie"
require "active_job/railtie"
require "action_controller/railtie"
require "action_view/railtie"
require "net/http"
require "puma"
require "puma/server"
require "vidcache"
require "vidcache/railtie"

HUBSPOT, FOLDER = ARGV
PORTAL = 62_515
DAY = 86_400

class Shop < Rails::Application
  config.root = FOLDER
  config.load_defaults 6.1
  config.eager_load = false
  config.logger = Logger.new("#{FOLDER}/shop.log")
  config.secret_key_base = "0" * 64
  config.active_job.queue_adapter = :test
  config.cache_store = :memory_store, { size: 64 * 1024 * 1024 }
  config.hosts.clear
  config.vidcache.portal_id = PORTAL
  config.vidcache.path = "#{FOLDER}/hubspot.vidcache"
  config.vidcache.synchronous = :normal
  config.vidcache.access_token = "any"
  config.vidcache.api_url = HUBSPOT
end

ENV["DATABASE_URL"] = "sqlite3:#{FOLDER}/shop.sqlite3"
Rails.env = "production"
Shop.initialize!
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:users) { |t| t.string(:email, index: true) && t.datetime(:created_at) }
  create_table(:accounts, id: false) do |t|
    t.string :name, primary_key: true
    t.string :email, index: true
    t.datetime :created_at
  end
end

class ContactJob < ActiveJob::Base
  def perform(*); end
end

class User < ActiveRecord::Base
  has_vid email: :email, job: ContactJob
end

# Whose key is one long word.
class Account < ActiveRecord::Base
  self.primary_key = :name

  has_vid email: :email, key: :name, job: ContactJob
end

# @return [Integer] the id of a new contact in the double
def contact(email)
  headers = { "Authorization" => "Bearer any", "Content-Type" => "application/json" }
  answer = Net::HTTP.post(URI("#{HUBSPOT}/crm/v3/objects/contacts"), JSON.generate(properties: { email: email }), headers)
  Integer(JSON.parse(answer.body).fetch("id"))
end

def conflict(key, holder)
  Vidcache.cache.record(key, { status: "error", category: "CONFLICT", message: "Contact already exists. Existing ID: #{holder}" })
rescue Vidcache::ContactConflict
  nil
end

def failed(key, error)
  Vidcache::Explanation::Traces.job(key, error)
end

now = Time.now
long = "organisation-of-a-customer-whose-name-is-one-long-word-#{"x" * 150}"
users = (1..10_000).map { |id| { id: id, email: "u#{id}@shop.test", created_at: now - (2 * DAY) } }
users.each_slice(1000) { |some| User.insert_all(some) }
Account.insert_all([{ name: long, email: "long@shop.test", created_at: now - (2 * DAY) },
                    { name: "#{long}-2", email: "long2@shop.test", created_at: now - (2 * DAY) }])

cache = Vidcache.cache
vids = ->(id) { 200_000_000_000 + id }
# 1 is agreed, and so are most; from 8001 on emails that nobody has read for long; from 8501 on unconfirmed ones; from
# 9701 on those without a contact.
cache.import(users.first(8500).map { |user| [user[:id], vids.call(user[:id]), user[:email], now - (user[:id] > 8000 ? 40 * DAY : 3600)] })
cache.import((8501..9700).map { |id| [id, vids.call(id)] })
# Emails that differ, and one that was written past the callbacks.
User.where(id: 7001..7010).update_all(email: nil)
User.where(id: 7011..7020).update_all("email = 'new.' || email")
(9001..9060).each do |id|
  cache.begin_email_change(id)
  failed(id, Vidcache::RateLimited.new("HubSpot asks to wait")) if id.even?
end
cache.begin_email_change(long)
refused = Class.new(StandardError)
refused.define_singleton_method(:name) { "Shop::Integrations::#{"Hubspot" * 8}::ConnectionRefused" }
failed(long, refused.new)
(9101..9150).each { |id| conflict(id, vids.call(id - 9000)) }
cache.link("#{long}-2", vids.call(20_000))
conflict("#{long}-2", 999_999_999_999)
(9701..9710).each { |id| failed(id, Vidcache::InvalidEmail.new("HubSpot refuses this email for good")) }
# These HubSpot has: one to be read again, and pairs to be merged, one for each browser.
cache.link(9601, contact("u9601@shop.test"))
merges = (9651..9656).map { |id| [id, contact("old#{id}@shop.test"), contact("u#{id}@shop.test")] }
merges.each do |id, mine, holder|
  cache.forget(id)
  cache.link(id, mine)
  conflict(id, holder)
end
# The day before.
hours = Rails.cache
(1..23).each do |back|
  at = now.to_i - (now.to_i % 3600) - (back * 3600)
  sample = { "change_outstanding" => 20 + (back * 7 % 50), "email_unconfirmed" => 900 - (back * 31), "conflict" => back * 2 }
  hours.write("vidcache/pulse/sample/#{at}", sample)
  Vidcache::Pulse::SHARED.each { |what| hours.write("vidcache/pulse/#{what}/#{at}", back * 11, raw: true) }
end
{ "record" => {}, "webhook" => {}, "reconcile" => {} }.each { |event, payload| ActiveSupport::Notifications.instrument("#{event}.vidcache", payload) }
Vidcache::Explanation::Traces.unlinked(300)
100.times { |id| User.find(id + 1).vidcache_decision.then { |decision| Vidcache::Pulse.page(decision.reason) } }

Vidcache::Web.allow { |request| { "operator" => true, "viewer" => :look }[request.cookies["as"]] }
Shop.routes.draw do
  mount Vidcache::Web => "/vidcache"
  get "/as/:who", to: lambda { |env|
    who = env["action_dispatch.request.path_parameters"][:who]
    [200, { "Content-Type" => "text/html", "Set-Cookie" => "as=#{who}; Path=/" }, ["<title>in</title>"]]
  }
end

server = Puma::Server.new(Shop, Puma::Events.new($stderr, $stderr), min_threads: 1, max_threads: 4)
port = server.add_tcp_listener("127.0.0.1", 0).addr[1]
Signal.trap("TERM") { exit!(true) }
running = server.run
puts JSON.generate(url: "http://127.0.0.1:#{port}", merges: merges, long: long)
$stdout.flush
running.join
