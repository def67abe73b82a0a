# frozen_string_literal: true

# What the rows in the app's own PostgreSQL cost, as ratios of one run: bin/bench --database.
#
#   ruby -I ruby/lib ruby/bench/database.rb [--quick]
#
# The server is the script's own, on a socket in a temporary folder. What is compared takes turns, call by call, through
# one connection of Active Record's, so that a busy machine disturbs both alike; each figure is a median.

require "erb"
require "json"
require "rails"
require "active_record/railtie"
require "vidcache"
require "vidcache/railtie"
# A part of Rails, which has to be there before the app is.
begin
  require "solid_cache"
rescue LoadError => e
  WITHOUT_SOLID_CACHE = e.message.lines.first.strip
end
require_relative "../test/rails/support/connections"
require_relative "../test/rails/support/store"
require_relative "../test/rails/support/postgres"

USERS = ARGV.include?("--quick") ? 20_000 : 100_000
ROUNDS = ARGV.include?("--quick") ? 1_000 : 4_000
MERGED = 50 # One contact in so many was merged with the next.

abort "bench: #{PostgresServer.missing}" if PostgresServer.missing
SERVER = PostgresServer.new(["jit=on", "shared_buffers=256MB"])
at_exit { SERVER.stop }
ENV["DATABASE_URL"] = SERVER.database

class BenchApp < Rails::Application
  config.eager_load = false
  config.logger = Logger.new(File::NULL)
  config.log_level = :info # As in production: at debug each statement is coloured for the log.
  config.secret_key_base = "0" * 64
  config.vidcache.store = :database
  config.vidcache.when_unavailable = :raise # As outside development: :save has a savepoint around each beginning.
end
BenchApp.initialize!
ActiveRecord::Base.establish_connection
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:users) do |t|
    t.string :email, index: { unique: true }
    t.string :name
    t.datetime :created_at, :updated_at
  end
end
TestStore.make_tables
class User < ActiveRecord::Base; end
CACHE = Vidcache::Database.open(portal_id: 62_515, secret: "thirty-two bytes kept out of it.")
CONNECTION = ActiveRecord::Base.connection
CONNECTION.execute(<<~SQL)
  INSERT INTO users (email, name, created_at, updated_at)
    SELECT 'user' || i || '@shop.test', 'Name ' || i, now(), now() FROM generate_series(1, #{USERS}) i;
  INSERT INTO vidcache_links SELECT '\\x01'::bytea || int8send(i), 900000000 + i, 1700000000000, 1700000000000
    FROM generate_series(1, #{USERS}) i;
  INSERT INTO vidcache_contacts (vid, email, whose, email_at)
    SELECT 900000000 + i, substr(sha256(int8send(i)), 1, 16),
      CASE WHEN i % #{MERGED} <= 1 THEN '' ELSE '\\x01'::bytea || int8send(i) END, 1700000000000 FROM generate_series(1, #{USERS}) i;
  INSERT INTO vidcache_merges SELECT 900000000 + i, 900000001 + i, 1700000000000, false, 0
    FROM generate_series(#{MERGED}, #{USERS - 1}, #{MERGED}) i;
SQL
CONNECTION.execute("VACUUM ANALYZE")

# @return [Hash{Symbol => Float}] the median of each, in microseconds
def medians(calls, rounds = ROUNDS)
  took = calls.transform_values { [] }
  (rounds + 50).times do |round|
    calls.each do |name, call|
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond)
      call.call(round)
      took[name] << (Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond) - began) if round >= 50
    end
  end
  took.transform_values { |all| all.sort[all.size / 2] }
end

def line(what, figure, target = nil)
  puts "#{what.ljust(84)} #{figure.to_s.rjust(8)}  #{"(target: #{target})" if target}".rstrip
end

random = Random.new(1)
flat = Array.new(ROUNDS + 50) { random.rand((USERS / MERGED) - 1) * MERGED + 7 }
merged = Array.new(ROUNDS + 50) { (random.rand((USERS / MERGED) - 2) + 1) * MERGED }

puts "#{USERS} users, one contact in #{MERGED} merged with another; #{CONNECTION.select_value("SELECT version()")[/\S+ \S+/]}; " \
     "Active Record #{ActiveRecord.version}; load #{File.read("/proc/loadavg")[/\S+/] if File.exist?("/proc/loadavg")}"

# The statements alone, by the client's own calls.
raw = CONNECTION.raw_connection
core = Vidcache::Statements.open("public", 62_515, ["thirty-two bytes kept out of it.", [], 10.0, "js.hs-scripts.com", nil, nil])
raw.prepare("bench_pk", "SELECT * FROM users WHERE id = $1 LIMIT 1")
raw.prepare("bench_flat", core.prepared(""))
raw.prepare("bench_walk", core.prepared_walk)
sent = medians(
  pk: ->(round) { raw.exec_prepared("bench_pk", [flat[round]]).getvalue(0, 0) },
  flat: ->(round) { raw.exec_prepared("bench_flat", [core.parameter(flat[round])]).getvalue(0, 0) },
  walk: ->(round) { raw.exec_prepared("bench_walk", [core.parameter(merged[round])]).getvalue(0, 0) }
)
line("look-up of a user by primary key, the client's own call, prepared", "#{sent[:pk].round} us")
line("a page's statement, by it", format("%.2f x", sent[:flat] / sent[:pk]), "1.5")
line("a page's two statements where the contact was merged, by it", format("%.2f x", (sent[:flat] + sent[:walk]) / sent[:pk]), "2.0")

# As an app has it.
app = medians(
  pk: ->(round) { ActiveRecord::Base.uncached { User.find(flat[round]) } },
  flat: ->(round) { CACHE.decide(flat[round], "ann@shop.test") },
  merged: ->(round) { CACHE.decide(merged[round], "ann@shop.test") }
)
line("User.find", "#{app[:pk].round} us")
line("a page's decision, by it", format("%.2f x", app[:flat] / app[:pk]), "1.5")
line("a page's decision where the contact was merged, by it", format("%.2f x", app[:merged] / app[:pk]), "2.0")
line("statements a page", Connections.statements { CACHE.decide(flat[0], "ann@shop.test") }.size, "1")
line("statements a page where the contact was merged", Connections.statements { CACHE.decide(merged[0], "ann@shop.test") }.size)

# The app's own transaction, with and without the beginning of a change.
update = ->(round) { User.where(id: flat[round]).update_all(email: "r#{round}-#{rand(1 << 60)}@shop.test") }
begun = medians({ without: ->(round) { User.transaction { update.call(round) } },
                  with: ->(round) { User.transaction { CACHE.begin_email_change(flat[round]) && update.call(round) } } }, ROUNDS / 4)
line("an app's transaction that changes an email, with `begin`, by the same without", format("%.2f x", begun[:with] / begun[:without]), "1.5")
line("statements of `begin`", Connections.statements { CACHE.begin_email_change(7) }.size, "1")

answer = JSON.generate(id: "900000007", properties: { email: "new@shop.test" }, updatedAt: "2026-01-01T00:00:00.000Z")
sent = Connections.statements { CACHE.record(7, answer) }
line("statements of `record`, in a transaction", sent.grep_v(/\A(BEGIN|COMMIT)/).size, "3")

bytes = CONNECTION.select_value("SELECT pg_total_relation_size('vidcache_links') + pg_total_relation_size('vidcache_contacts')")
line("bytes a user in links and contacts, of #{USERS} users; at 1,000,000 it is the same", bytes / USERS, "260")

require_relative "kept"
