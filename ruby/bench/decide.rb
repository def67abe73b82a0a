# frozen_string_literal: true

# What a page pays for a decision, beside what it would pay for a read from Redis.
#
#   cd ruby && rake bench
#
# Everything is measured in one process and in turns, so that all meet the same machine; a row is the median of the turns with
# the empty loop taken off. Redis is started here, on a unix socket. Exits with 1 when a target is missed.

require "fileutils"
require "tmpdir"
require "vidcache"
require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "action_controller"
require "action_view"
require "redis"
require "vidcache/rails"

TURNS = Integer(ENV.fetch("TURNS", "21"))
USERS = 10_000
EMAIL = "ann@shop.test"
TARGETS = {"cache.decide" => 10, "hubspot_tracking_tag" => 50}.freeze # µs

# As the helper finds one in an app, without the database.
User = Struct.new(:id, :email) do
  alias_method :vidcache_key, :id
  alias_method :vidcache_email, :email
end

def microseconds(count)
  start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  count.times { |number| yield number }
  (Process.clock_gettime(Process::CLOCK_MONOTONIC) - start) * 1e6 / count
end

def median(numbers)
  numbers.sort[numbers.size / 2]
end

def with_redis(folder)
  socket = "#{folder}/redis.sock"
  pid = spawn("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder, out: File::NULL, err: File::NULL)
  sleep 0.05 until File.socket?(socket)
  yield ActiveSupport::Cache::RedisCacheStore.new(redis: Redis.new(path: socket))
ensure
  if pid
    Process.kill(:TERM, pid)
    Process.wait(pid)
  end
end

def view
  request = ActionDispatch::Request.empty
  controller = Class.new(ActionController::Base).new
  controller.set_request!(request)
  controller.set_response!(controller.class.make_response!(request))
  controller.view_context.extend(Vidcache::ViewHelper)
end

Dir.mktmpdir("vidcache-bench") do |folder|
  cache = Vidcache.cache = Vidcache.open("#{folder}/hubspot.vidcache", portal_id: 62515, secret: "thirty-two bytes kept out of it.", synchronous: :normal)
  uuids = Array.new(USERS) { |id| format("0188d3c4-5e6f-7a8b-9c0d-%012x", id) }
  USERS.times do |id|
    cache.record(id, %({"id":"#{id + 1}","properties":{"email":"#{EMAIL}"},"updatedAt":"2026-03-01T10:00:00.000Z"}))
    cache.link(uuids[id], USERS + id + 1)
  end
  page = view
  user = User.new(1, EMAIL)

  with_redis(folder) do |redis|
    USERS.times { |id| redis.write("vid/#{id}", id + 1) }
    raise "not agreed" unless cache.decide(1, EMAIL).agreed? && redis.read("vid/1") == 2 && page.hubspot_tracking_tag(user).include?(EMAIL)

    subjects = {
      "cache.decide" => [20_000, ->(i) { cache.decide(i % USERS, EMAIL) }],
      "cache.decide, text key" => [20_000, ->(i) { cache.decide(uuids[i % USERS], EMAIL) }],
      "cache.resolve" => [20_000, ->(i) { cache.resolve(i % USERS) }],
      "cache.resolve, text key" => [20_000, ->(i) { cache.resolve(uuids[i % USERS]) }],
      "cache.snippet" => [5_000, ->(i) { cache.snippet(i % USERS, EMAIL, nonce: "r4nd0m") }],
      "hubspot_tracking_tag" => [3_000, ->(_) { page.hubspot_tracking_tag(user, nonce: "r4nd0m") }],
      "Rails.cache.read, Redis" => [1_000, ->(i) { redis.read("vid/#{i % USERS}") }]
    }
    empty = ->(_) {}
    times = Hash.new { |hash, name| hash[name] = [] }
    TURNS.times do
      subjects.each do |name, (count, work)|
        baseline = microseconds(count, &empty)
        times[name] << (microseconds(count, &work) - baseline)
      end
    end

    redis_time = median(times["Rails.cache.read, Redis"])
    puts "#{RUBY_DESCRIPTION}, #{USERS} users, median of #{TURNS} turns (least to most), µs"
    puts format("%-26s %9s %20s %16s", "", "median", "least to most", "Redis takes")
    times.each do |name, turns|
      puts format("%-26s %9.2f %20s %14.1f x", name, median(turns), format("%.2f to %.2f", *turns.minmax), redis_time / median(turns))
    end
    missed = TARGETS.select { |name, limit| median(times[name]) >= limit }
    abort "missed: #{missed.map { |name, limit| "#{name} < #{limit} µs" }.join(", ")}" if missed.any?
    puts "targets met: #{TARGETS.map { |name, limit| "#{name} < #{limit} µs" }.join(", ")}"
  end
end
