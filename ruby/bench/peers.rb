# frozen_string_literal: true

require_relative "servers"

# What else could answer "which contact is this user?". Each is filled with the same users, checked, and then takes its
# turn in the rounds. What cannot be had is left out, and says why.
class Peers
  LIST = %i[lru_redux memory_store sqlite3 active_record_sqlite redis rails_cache_redis dalli active_record_postgresql].freeze

  def initialize(rounds, users, folder, servers)
    @rounds = rounds
    @ids = users.map(&:id)
    @last_vid = users.last.vid
    # Not in the order of the look-ups: see the Hash in measure.rb.
    @rows = users.map { |user| [user.id, user.vid] }.sort
    @folder = folder
    @servers = servers
  end

  def add_all
    LIST.each do |name|
      send(name)
    rescue LoadError, Servers::Missing, Errno::ENOENT => e
      @rounds.fact("peer_#{name}", skipped: e.message.lines.first.strip)
    end
  end

  private

  def add(name, code, on:, count:)
    # The last user, so that an unfinished filling shows.
    answer = eval("->(key, on) { #{code} }", binding, __FILE__, __LINE__).call(@ids.last, on) # rubocop:disable Security/Eval
    raise "#{name} answers #{answer.inspect}" unless answer.to_i == @last_vid
    @rounds.add("peer_#{name}", code, on: on, keys: @ids, count: count, baseline: "baseline_hash_int")
  end

  def lru_redux
    require "lru_redux"
    lru = LruRedux::ThreadSafeCache.new(@ids.size)
    @rows.each { |id, vid| lru[id] = vid }
    add(:lru_redux, "on[key]", on: lru, count: 20_000)
  end

  def memory_store
    require "active_support"
    require "active_support/cache"
    require "active_support/cache/memory_store"
    store = ActiveSupport::Cache::MemoryStore.new(size: 1 << 30)
    @rows.each { |id, vid| store.write(id, vid) }
    add(:memory_store, "on.read(key)", on: store, count: 2_000)
  end

  def sqlite3
    require "sqlite3"
    db = SQLite3::Database.new("#{@folder}/peer.sqlite3")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, vid INTEGER NOT NULL)")
    db.transaction do
      insert = db.prepare("INSERT INTO users VALUES (?, ?)")
      @rows.each { |row| insert.execute(row) }
      insert.close
    end
    select = db.prepare("SELECT vid FROM users WHERE id = ?")
    add(:sqlite3, "on.bind_param(1, key); vid = on.step[0]; on.reset!; vid", on: select, count: 2_000)
  end

  def active_record_sqlite
    model = active_record(:ActiveRecordSqlite, adapter: "sqlite3", database: "#{@folder}/peer.sqlite3")
    add(:active_record_sqlite, "on.where(id: key).pick(:vid)", on: model, count: 150)
  end

  def active_record_postgresql
    require "pg"
    folder = @servers.postgres
    sleep 0.05 until PG::Connection.ping(host: folder) == PG::PQPING_OK
    PG.connect(host: folder, user: "bench", dbname: "postgres") do |db|
      db.exec("CREATE TABLE users (id bigint PRIMARY KEY, vid bigint NOT NULL)")
      db.copy_data("COPY users FROM STDIN") { @rows.each { |id, vid| db.put_copy_data("#{id}\t#{vid}\n") } }
      db.exec("ANALYZE users")
    end
    model = active_record(:ActiveRecordPostgresql, adapter: "postgresql", host: folder, username: "bench", database: "postgres")
    add(:active_record_postgresql, "on.where(id: key).pick(:vid)", on: model, count: 100)
  end

  def active_record(name, **connection)
    require "active_record"
    model = Class.new(ActiveRecord::Base) { self.abstract_class = true }
    # Active Record keeps connections by the name of the class.
    Object.const_set(name, model)
    model.establish_connection(connection)
    Class.new(model) { self.table_name = "users" }
  end

  def redis
    require "redis"
    redis = Redis.new(path: redis_socket)
    @rows.each_slice(5_000) { |rows| redis.mset(*rows.flatten) }
    add(:redis, "on.get(key)", on: redis, count: 300)
  end

  def rails_cache_redis
    require "redis"
    require "active_support"
    require "active_support/cache"
    require "active_support/cache/redis_cache_store"
    store = ActiveSupport::Cache::RedisCacheStore.new(redis: Redis.new(path: redis_socket), namespace: "rails")
    @rows.each_slice(5_000) { |rows| store.write_multi(rows.to_h) }
    add(:rails_cache_redis, "on.read(key)", on: store, count: 300)
  end

  def redis_socket
    @redis_socket ||= @servers.redis
  end

  def dalli
    require "dalli"
    client = Dalli::Client.new(@servers.memcached)
    client.multi { @rows.each { |id, vid| client.set(id.to_s, vid) } }
    add(:dalli, "on.get(key.to_s)", on: client, count: 300)
  end
end
