# frozen_string_literal: true

# Which store the tests run against: VIDCACHE_TEST_STORE=database takes the tables in a PostgreSQL of the tests' own, in
# which the app's users are too; else it is a file, and the app's database SQLite.
module TestStore
  TABLES = %w[meta links contacts merges secondaries changes conflicts erased buried erased_users leases deadlines touched]
           .map { |name| "vidcache_#{name}" }.freeze
  MIGRATION = File.expand_path("../../../lib/generators/vidcache/database/templates/migration.rb.tt", __dir__)

  module_function

  # @return [Boolean]
  def database?
    ENV["VIDCACHE_TEST_STORE"] == "database"
  end

  # @return [String] the address of the app's database
  def url(folder)
    return "sqlite3:#{folder}/app.sqlite3" unless database?

    require_relative "postgres"
    if (why = PostgresServer.missing)
      puts "skipped because #{why}"
      exit!(true)
    end
    PostgresServer.get.database
  end

  # As `rails generate vidcache:database` and `db:migrate` make them.
  def make_tables
    Object.class_eval(ERB.new(File.read(MIGRATION)).result) unless defined?(::CreateVidcacheTables)
    ActiveRecord::Migration.suppress_messages { CreateVidcacheTables.new.migrate(:up) }
  end

  # @param folder [String] of the test
  # @return [Vidcache::Cache, Vidcache::Database] with nothing in it
  def open(folder, **options)
    return Vidcache.open("#{folder}/hubspot.vidcache", portal_id: 62_515, **options) unless database?

    Vidcache::Database.open(portal_id: 62_515, secret: Vidcache.settings.secret, **options)
  end

  def empty
    ActiveRecord::Base.connection.execute("TRUNCATE #{TABLES.join(", ")}") if database?
  end
end
