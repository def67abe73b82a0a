# frozen_string_literal: true

# What is so of the rows in the app's own PostgreSQL alone. In a process of its own (`rake test:database`): the app's
# database is another one than in the other tests.
ENV["VIDCACHE_TEST_STORE"] = "database"
require_relative "../rails/helper"
require_relative "../rails/support/connections"
require_relative "../rails/support/operator"
require "minitest/mock"
require "rails/generators"
require "generators/vidcache/database/database_generator"

class Vidcache::DatabaseTest < Vidcache::RailsTest
  include Connections

  def test_a_page_asks_by_one_statement_and_opens_no_connection
    user = agreed_user
    before = connections
    asked = statements { page(user) }
    assert_equal 1, asked.size, asked.inspect
    assert_equal :agreed, page(user).reason
    assert_operator connections, :<=, before
  end

  def test_the_statement_of_a_page_is_kept_prepared_unless_the_app_s_connection_keeps_none
    user = agreed_user
    ActiveRecord::Base.connection.clear_cache! # Of tests before, whose answers were kept: theirs is another statement.
    2.times { page(user) }
    kept = -> { value("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%vidcache_links%' AND statement NOT LIKE '%RECURSIVE%'") }
    assert_equal 1, kept.call
    without_prepared_statements do
      assert_equal [:agreed, 0], [page(user).reason, kept.call]
    end
  end

  def test_no_answer_comes_out_of_active_record_s_query_cache
    user = agreed_user
    ActiveRecord::Base.cache do
      assert_equal :agreed, page(user).reason
      elsewhere { Vidcache.cache.begin_email_change(user.id) }
      assert_equal :change_outstanding, page(user).reason
    end
  end

  def test_the_operators_page_speaks_of_the_database_and_of_no_file
    user = agreed_user
    operator = Operator.new
    assert_equal 200, operator.get("/")
    assert_includes operator.body, "The rows are in the app’s database"
    assert_equal 200, operator.get("/user?key=#{user.id}")
    assert_equal 200, operator.get("/conflicts")
  end

  # As `DatabaseSelector` has it for a GET.
  def test_a_request_on_the_reading_role_asks_the_writer_and_what_the_app_forbids_to_write_is_not_written
    user = agreed_user
    roles = []
    note = ->(*, payload) { roles << ActiveRecord::Base.current_role if payload[:name] == "vidcache" }
    on_the_reading_role do
      ActiveSupport::Notifications.subscribed(note, "sql.active_record") { assert_equal :agreed, page(user).reason }
      assert_equal [:writing], roles.uniq
      assert_raises(ActiveRecord::ReadOnlyError) { Vidcache.cache.link("another", 5) }
    end
  end

  def test_a_change_is_begun_if_and_only_if_the_app_s_transaction_is_committed
    user = agreed_user
    [ActiveRecord::Rollback, nil].each do |ending|
      User.transaction do
        user.reload.update!(email: "new@shop.test")
        assert_equal :change_outstanding, page(user).reason, "its own, before the commit"
        assert_equal :agreed, elsewhere { Vidcache.cache.decide(user.id, "ann@shop.test").reason }, "nobody else's"
        raise ending if ending
      end
      assert_equal (ending ? 0 : 1), changes.size
    end
    assert_equal [user.vidcache_change], tokens, "one job"
    assert_empty @reported
  end

  def test_a_savepoint_that_is_rolled_back_takes_its_change_with_it
    user = agreed_user
    User.transaction do
      User.transaction(requires_new: true) do
        user.update!(email: "new@shop.test")
        raise ActiveRecord::Rollback
      end
    end
    assert_equal [[], [], :agreed], [changes, jobs, reason(user.reload)]
  end

  def test_the_quiet_period_begins_when_the_transaction_is_committed_and_not_with_the_change
    user = agreed_user
    User.transaction do
      user.update!(email: "new@shop.test")
      sleep 0.3
      Vidcache.cache.change_outstanding_since(user.id, user.vidcache_change)
      assert_nil value("SELECT seen_at FROM vidcache_changes"), "nobody can know yet that it will be committed"
    end
    begun, seen = ActiveRecord::Base.connection.select_rows("SELECT begun_at, seen_at FROM vidcache_changes").first
    assert_operator seen - begun, :>=, 300
    assert_in_delta Time.now.to_f, Vidcache.cache.change_outstanding_since(user.id, user.vidcache_change).to_f, 0.29
  end

  def test_an_old_snapshot_counts_from_its_beginning_and_names_no_email_once_it_is_too_old
    user = agreed_user
    Vidcache.cache = TestStore.open(@dir, page_deadline: 0.5)
    User.transaction(isolation: :repeatable_read) do
      first = Vidcache.cache.page_data(user.id, user.email)
      sleep 0.2
      later = Vidcache.cache.page_data(user.id, user.email)
      assert_operator later["ttl"], :<=, first["ttl"] - 190
      sleep 0.4
      assert_equal [:stale, 901], page(user).to_h.values_at(:reason, :id)
    end
    assert_equal :agreed, page(user).reason
  end

  def test_a_row_is_created_in_a_transaction_of_any_isolation
    %i[repeatable_read serializable].each_with_index do |isolation, index|
      User.transaction(isolation: isolation) { User.create!(email: "ann#{index}@shop.test") }
    end
    assert_equal 2, jobs.size
  end

  def test_what_is_heard_of_hubspot_is_two_texts_in_a_transaction_that_sees_what_others_commit
    user = agreed_user
    ActiveRecord::Base.connection.execute("SET default_transaction_isolation = 'repeatable read'")
    sent = statements { confirm(user.id, "ann@new.test", at: Time.now + 1) }.grep_v(/\A(BEGIN|COMMIT)/)
    assert_equal [2, 901], [sent.size, Vidcache.cache.decide(user.id, "ann@new.test").id]
    assert_match(/\ASET TRANSACTION ISOLATION LEVEL READ COMMITTED;\nSELECT .*;\n/m, sent.first)
  ensure
    ActiveRecord::Base.connection.execute("RESET default_transaction_isolation")
  end

  # As Rails' transactional tests have it: what an app's own test commits is a savepoint's.
  def test_in_a_transactional_test_a_change_begins_and_its_job_is_enqueued_and_all_of_it_is_rolled_back
    user = agreed_user
    connection = ActiveRecord::Base.connection
    connection.begin_transaction(joinable: false)
    user.update!(email: "new@shop.test")
    confirm(user.id, "new@shop.test", change: user.vidcache_change, at: Time.now + 1)
    assert_equal [1, :agreed], [jobs.size, page(user).reason]
    connection.rollback_transaction
    assert_equal [0, :agreed], [changes.size, page(User.find(user.id)).reason]
    assert_empty @reported
  end

  def test_a_search_path_of_a_tenant_s_finds_the_same_tables
    user = agreed_user
    ActiveRecord::Base.connection.execute("CREATE SCHEMA IF NOT EXISTS tenant; SET search_path TO tenant")
    assert_equal :agreed, page(user).reason
  ensure
    ActiveRecord::Base.connection.execute("SET search_path TO public")
  end

  def test_without_its_tables_pages_say_less_and_the_app_s_own_transaction_goes_on
    user = agreed_user
    ActiveRecord::Base.connection.execute("ALTER TABLE vidcache_links RENAME TO hidden")
    User.transaction do
      assert_equal :stale, page(user).reason
      assert_equal user, User.find(user.id)
    end
    html = ActiveSupport::SafeBuffer.new
    assert_equal :stale, Vidcache.cache.append_snippet(html, user.id, user.email)
    refute_includes html, "ann@shop.test"
    assert_equal [Vidcache::TablesUnusable], @reported.map(&:class).uniq
    assert_includes @reported.first.message, "vidcache:database"
  ensure
    ActiveRecord::Base.connection.execute("ALTER TABLE IF EXISTS hidden RENAME TO vidcache_links")
  end

  def test_with_postgresql_gone_a_page_goes_out_and_a_save_raises
    user = agreed_user
    PostgresServer.get.down
    assert_equal :stale, page(user).reason
    assert_raises(StandardError) { user.update!(email: "new@shop.test") }
    PostgresServer.get.start
    ActiveRecord::Base.connection_pool.disconnect!
    assert_equal :agreed, page(user.reload).reason
  ensure
    PostgresServer.get.start unless PostgresServer.get.pid
  end

  def test_a_deadlock_is_tried_again_unless_the_app_s_own_work_would_go_with_it
    connection = Vidcache.cache.instance_variable_get(:@connection)
    tries = 0
    broken_off = ->(session) { session.run(["DO $$ BEGIN RAISE EXCEPTION 'in a circle' USING ERRCODE = '40P01'; END $$"]) }
    assert_equal(3, connection.transaction { |session| (tries += 1) < 3 ? broken_off.call(session) : tries })
    tries = 0
    refused = nil
    begin
      User.transaction { refused = assert_raises(Vidcache::Busy) { connection.transaction { |session| (tries += 1) && broken_off.call(session) } } }
    rescue ActiveRecord::ActiveRecordError
      nil # The app's transaction is over, and before Rails 7 its connection too.
    end
    assert_equal [1, "the app's database kept vidcache waiting for too long: Deadlocked"], [tries, refused.message]
  end

  def test_another_secret_is_refused_at_boot_and_an_old_one_is_taken
    assert_raises(Vidcache::WrongSecret) { Vidcache::Database.open(portal_id: 62_515, secret: "another" * 5) }
    assert_raises(Vidcache::Error) { Vidcache::Database.open(portal_id: 62_516, secret: Vidcache.settings.secret) }
    user = agreed_user
    Vidcache.cache = Vidcache::Database.open(portal_id: 62_515, secret: "another" * 5, old_secrets: [Vidcache.settings.secret])
    assert_equal :agreed, page(user).reason
  end

  def test_another_database_than_postgresql_is_refused_in_one_sentence
    error = Vidcache::UnsupportedDatabase.new("Mysql2")
    assert_includes error.message, "needs PostgreSQL, and the app's database is Mysql2"
    ActiveRecord::Base.connection.stub(:adapter_name, "Mysql2") do
      assert_raises(Vidcache::UnsupportedDatabase) { Vidcache::Database.open(portal_id: 62_515, secret: "s" * 32) }
      assert_equal :unsupported_database, Vidcache::Health.problem
    end
  end

  def test_a_file_is_taken_over_as_often_as_one_likes
    file = Vidcache.open("#{@dir}/hubspot.vidcache", portal_id: 62_515, secret: Vidcache.settings.secret)
    file.record(7, JSON.generate(id: "907", properties: { email: "bob@shop.test" }, updatedAt: "2026-01-01T00:00:00.000Z"))
    2.times { assert_operator Vidcache.cache.copy(file), :>, 0 }
    assert_equal [907, :agreed], [Vidcache.cache.resolve(7), Vidcache.cache.decide(7, "bob@shop.test").reason]
  ensure
    file&.close
  end

  def test_schema_rb_gives_the_tables_that_the_migration_gives
    before = columns
    dumped = StringIO.new
    # Since Rails 7.2 it takes a pool.
    of = ActiveRecord.gem_version < Gem::Version.new("7.2") ? ActiveRecord::Base.connection : ActiveRecord::Base.connection_pool
    ActiveRecord::SchemaDumper.dump(of, dumped)
    made = dumped.string[/^  create_table "vidcache_.*^  end\n/m].scan(/^  create_table "vidcache_.*?^  end\n/m).join
    ActiveRecord::Base.connection.execute(TestStore::TABLES.map { |table| "DROP TABLE #{table}" }.join(";"))
    ActiveRecord::Schema.define { instance_eval(made) }
    assert_equal before, columns
    assert_equal 13, TestStore::TABLES.size
    agreed_user.tap { |user| assert_equal :agreed, page(user).reason } if (Vidcache.cache = @cache = TestStore.open(@dir))
  end

  def test_the_migration_makes_the_tables_that_the_core_asks_of
    before = columns
    ActiveRecord::Base.connection.execute(TestStore::TABLES.map { |table| "DROP TABLE #{table}" }.join(";"))
    made = Vidcache::Statements.open("public", 62_515, [Vidcache.settings.secret, [], 10.0, "js.hs-scripts.com", nil, nil]).create
    made.each { |sql| ActiveRecord::Base.connection.execute(sql) }
    assert_equal before, columns
  ensure
    @cache = Vidcache.cache = TestStore.open(@dir)
  end

  def test_the_generator_writes_the_migration_and_the_setting
    folder = Dir.mktmpdir("generated-", SCRATCH)
    FileUtils.mkdir_p("#{folder}/config/initializers")
    File.write("#{folder}/config/initializers/vidcache.rb", "Rails.application.configure do\n  config.vidcache.portal_id = 1\nend\n")
    2.times { capture_io { Vidcache::Generators::DatabaseGenerator.start(["--skip"], destination_root: folder) } }
    assert_equal 1, Dir["#{folder}/db/migrate/*_create_vidcache_tables.rb"].size
    assert_equal 1, File.read("#{folder}/config/initializers/vidcache.rb").scan("config.vidcache.store = :database").size
  end

  private

  def page(user)
    Vidcache.cache.decide(user.id, user.email)
  end

  def changes
    sleep 0.002 # The clock of the file counts milliseconds.
    @cache.stale_changes(older_than: 0)
  end

  def value(sql)
    ActiveRecord::Base.uncached { ActiveRecord::Base.connection.select_value(sql) }
  end

  def connections
    value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
  end

  def without_prepared_statements(&block)
    ActiveRecord::Base.connection.then do |connection|
      connection.clear_cache!
      connection.unprepared_statement(&block)
    end
  end

  # No replica is needed to see that none is asked.
  def on_the_reading_role(&block)
    config = ActiveRecord::Base.connection_db_config.configuration_hash
    ActiveRecord::Base.connected_to(role: :reading) { ActiveRecord::Base.establish_connection(config) }
    ActiveRecord::Base.connected_to(role: :reading, &block)
  ensure
    ActiveRecord::Base.connected_to(role: :reading) { ActiveRecord::Base.remove_connection }
  end

  def columns
    value = ActiveRecord::Base.connection
    value.select_rows("SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns " \
                      "WHERE table_name LIKE 'vidcache%' ORDER BY 1, 2") +
      value.select_rows("SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'vidcache%' ORDER BY 1")
  end
end
