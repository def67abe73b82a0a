# frozen_string_literal: true

# What answers that are kept cost (`max_age`): a part of database.rb, which has made the server and the users.

require "stringio"
require "tmpdir"
require_relative "rounds"
require_relative "servers"

MAX_AGE = 5
WATCHING = { secret: "thirty-two bytes kept out of it.", portal_id: 62_515 }.freeze
KEPT = Vidcache::Database.open(**WATCHING, max_age: MAX_AGE)
HOT = (1..1_000).map { |n| n * MERGED % USERS + 7 }.uniq.freeze
QUICK = ARGV.include?("--quick")

# A look that is due, as a page sends it; what was there at that time.
CORE = Vidcache::Statements.open("public", 62_515, [WATCHING[:secret], [], 10.0, "js.hs-scripts.com", MAX_AGE.to_f, 1 << 20])
RAW = CONNECTION.raw_connection
RAW.prepare("bench_look", CORE.prepared("1/"))
RAW.prepare("bench_kept", CORE.prepared("1"))

def since
  snapshot = RAW.exec("SELECT pg_current_snapshot()").getvalue(0, 0)
  "1/1/#{snapshot}"
end

# Names that many users, each in a transaction of its own.
def touch(users)
  RAW.exec("SET synchronous_commit = off")
  RAW.exec("DO $$ BEGIN FOR i IN 1..#{users} LOOP INSERT INTO vidcache_touched VALUES (pg_current_xact_id()::text::bigint, " \
           "'\\x01'::bytea || int8send(i)); COMMIT; END LOOP; END $$")
end

# @return [Float] a look since then, as so many times a look-up by primary key
def look(since)
  took = medians({ pk: ->(round) { RAW.exec_prepared("bench_pk", [1 + round]).getvalue(0, 0) },
                   look: ->(_) { RAW.exec_prepared("bench_look", [CORE.parameter(7), since]).getvalue(0, 0) } }, ROUNDS / 4)
  took[:look] / took[:pk]
end

took = medians({ pk: ->(round) { RAW.exec_prepared("bench_pk", [1 + round]).getvalue(0, 0) },
                 kept: ->(_) { RAW.exec_prepared("bench_kept", [CORE.parameter(7), "1"]).getvalue(0, 0) } }, ROUNDS / 4)
line("a page's statement that is kept and asks for no names, by it", format("%.2f x", took[:kept] / took[:pk]))
now = since
line("a look after which nothing was written, by the look-up by primary key", format("%.2f x", look(now)), "1.6")
touch(1_000)
line("the same where 1,000 users were touched", format("%.2f x", look(now)), "5")
long = PG.connect(ENV.fetch("DATABASE_URL"))
long.exec("BEGIN; INSERT INTO vidcache_touched VALUES (pg_current_xact_id()::text::bigint, NULL, 1)")
changes = QUICK ? 100_000 : 1_000_000
touch(changes)
CONNECTION.execute("VACUUM ANALYZE vidcache_touched")
now = since
line("a look beside a transaction in which nothing was committed, after #{changes} others", format("%.2f x", look(now)), "1.6")
touch(1_000)
line("the same where 1,000 users were touched since the last look", format("%.2f x", look(now)), "5")
long.exec("ROLLBACK")
long.close

# A page in Ruby, beside the file's, and what else could answer it.
Dir.mktmpdir do |folder|
  file = Vidcache.open("#{folder}/bench.vidcache", **WATCHING)
  HOT.each do |user|
    answer = JSON.generate(id: (900_000_000 + user).to_s, properties: { email: "ann@shop.test" }, updatedAt: "2026-01-01T00:00:00.000Z")
    file.record(user, answer)
    CACHE.record(user, answer)
  end
  rounds = Rounds.new(facts: facts = StringIO.new, rounds: QUICK ? 20 : 100)
  rounds.add("file", "on.decide(key, 'ann@shop.test')", on: file, keys: HOT)
  rounds.add("a page's decision from memory", "on.decide(key, 'ann@shop.test')", on: KEPT, keys: HOT, baseline: "file")
  rounds.add("file's page", "on.snippet(key, 'ann@shop.test')", on: file, keys: HOT)
  rounds.add("a page's snippet from memory", "on.snippet(key, 'ann@shop.test')", on: KEPT, keys: HOT, baseline: "file's page")
  rounds.add("a page that asks", "on.decide(key, 'ann@shop.test')", on: CACHE, keys: HOT, count: 100, baseline: "file")
  rounds.add("Active Record's pick", "on.where(id: key).pick(:email)", on: User, keys: HOT, count: 100, baseline: "file")
  servers = Servers.new(folder)
  begin
    require "active_support/cache/redis_cache_store"
    redis = ActiveSupport::Cache::RedisCacheStore.new(redis: Redis.new(path: servers.redis))
    redis.write_multi(HOT.to_h { |user| [user, user] })
    rounds.add("Rails.cache on Redis", "on.read(key)", on: redis, keys: HOT, count: 100, baseline: "file")
  rescue LoadError, Servers::Missing => e
    puts "Rails.cache on Redis: skipped because #{e.message.lines.first.strip}"
  end
  if defined?(SolidCache)
    load SolidCache::Engine.root.join("lib/generators/solid_cache/install/templates/db/cache_schema.rb")
    solid = SolidCache::Store.new
    HOT.each { |user| solid.write(user, user) }
    rounds.add("solid_cache in the same PostgreSQL", "on.read(key)", on: solid, keys: HOT, count: 100, baseline: "file")
  else
    puts "solid_cache in the same PostgreSQL: skipped because #{WITHOUT_SOLID_CACHE}"
  end
  rounds.run
  facts.string.each_line.map { |one| JSON.parse(one) }.select { |fact| fact.key?("ratio") }.each do |fact|
    line("#{fact["id"]}, #{fact["median_ns"].round} ns, by the file's hit", format("%.2f x", fact["ratio"]),
         fact["id"].end_with?("from memory") ? "1.1" : nil)
  end
  before = KEPT.stats
  sent = Connections.statements { HOT.each { |user| KEPT.decide(user, "ann@shop.test") } }
  line("statements of #{HOT.size} pages from memory", sent.size, "0, or 1: a look")
  abort "bench: pages did not come from memory: #{before}" unless before[:hits] > 1_000
ensure
  servers&.stop
  file&.close
end
