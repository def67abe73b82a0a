# frozen_string_literal: true

ENV["VIDCACHE_TEST_STORE"] = "database"
require_relative "../rails/helper"
require "minitest/mock"

# Tables that cannot be used, or not as they are: what is said of them when a server boots, by `vidcache:check`, on a
# page and to whoever writes. Nothing is written then, and nothing wrong is said.
class Vidcache::RefusedTest < Vidcache::RailsTest
  UNUSABLE = "vidcache's tables in the app's database cannot be used: "
  MISSING = "#{UNUSABLE}\"public\".\"vidcache_*\" are missing, or another version's: run the app's migrations (bin/rails db:migrate, manage.py " \
            "migrate; where none makes them, bin/rails generate vidcache:database first, or Django's INSTALLED_APPS lacks " \
            "vidcache.django.database; elsewhere one has to run the statements of `migration`)"
  READ_ONLY = "#{UNUSABLE}the transaction, or the server, is read-only: write through the connection that writes"
  NEWER = "the cache has schema version 2; this version knows up to 1; it was left as it is"
  OTHER_PORTAL = "the cache belongs to portal 7, not to portal 62515"
  OTHER_SECRET = "the cache's key is wrapped under another secret. If the secret was changed"
  LOCKED = "the app's database kept vidcache waiting for too long: LockWaitTimeout"

  # What was done, what takes it back, and what is said at boot; on a page, if that is something else.
  CASES = {
    "a table is missing" => ["ALTER TABLE vidcache_links RENAME TO hidden", "ALTER TABLE hidden RENAME TO vidcache_links",
                             [:tables_unusable, MISSING]],
    "all tables are missing" => ["CREATE SCHEMA hidden; #{TestStore::TABLES.map { |table| "ALTER TABLE #{table} SET SCHEMA hidden" }.join(";")}",
                                 "#{TestStore::TABLES.map { |table| "ALTER TABLE hidden.#{table} SET SCHEMA public" }.join(";")}; DROP SCHEMA hidden",
                                 [:tables_unusable, MISSING]],
    "half migrated" => ["ALTER TABLE vidcache_contacts RENAME whose TO hidden", "ALTER TABLE vidcache_contacts RENAME hidden TO whose",
                        [:tables_unusable, MISSING]],
    "a newer version's" => ["UPDATE vidcache_meta SET min_reader = 2", "UPDATE vidcache_meta SET min_reader = 1", [:newer_schema, NEWER]],
    "another portal's" => ["UPDATE vidcache_meta SET portal = 7", "UPDATE vidcache_meta SET portal = 62515", [:wrong_portal, OTHER_PORTAL]],
    "under another secret" => ["CREATE TABLE mine AS SELECT * FROM vidcache_meta; " \
                               "UPDATE vidcache_meta SET key_check = '\\x00', wrapped_key = '\\x00'",
                               "UPDATE vidcache_meta SET key_check = m.key_check, wrapped_key = m.wrapped_key FROM mine m; DROP TABLE mine",
                               [:wrong_secret, OTHER_SECRET]],
    "on a server that is read-only" => ["SET default_transaction_read_only = on", "SET default_transaction_read_only = off",
                                        [:tables_unusable, READ_ONLY],
                                        [:tables_unusable, "#{UNUSABLE}a replica was asked, which lags, or a transaction that may not write: " \
                                                           "ask through the connection that writes"]]
  }.freeze

  def setup
    super
    @user = agreed_user
  end

  CASES.each do |what, (done, undone, at_boot, on_pages)|
    define_method("test_tables_that_are_#{what.tr(" ", "_")}") do
      sql(done)
      assert_refused(at_boot, on_pages || at_boot)
    ensure
      sql(undone)
      assert_equal :agreed, page.reason, "and right again at once"
    end
  end

  def test_tables_that_are_locked_by_a_migration
    sql("SET lock_timeout = '50ms'")
    PostgresServer.get.connect(database) do |other|
      other.transaction do
        other.exec("ALTER TABLE vidcache_links ADD note text; ALTER TABLE vidcache_changes ADD note text")
        assert_refused([:busy, LOCKED], [:busy, LOCKED], other)
        assert_equal LOCKED, assert_raises(Vidcache::Busy) { @user.update!(email: "new@shop.test") }.message
        other.exec("ALTER TABLE vidcache_links DROP note; ALTER TABLE vidcache_changes DROP note")
      end
    end
    assert_equal :agreed, page.reason
  ensure
    sql("SET lock_timeout = 0")
  end

  # A page does no more than that; a boot says what will fail later.
  def test_tables_that_the_role_may_only_read
    sql("CREATE ROLE reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; SET ROLE reader")
    said = "#{UNUSABLE}the app's role may not use them: GRANT it SELECT, INSERT, UPDATE and DELETE on vidcache_*"
    assert_equal :agreed, page.reason
    assert_refused([:tables_unusable, said], nil)
    assert_equal said, assert_raises(Vidcache::TablesUnusable) { Vidcache.cache.begin_email_change(@user.id) }.message
  ensure
    sql("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")
  end

  def test_a_table_that_only_jobs_use_is_missed_at_boot_and_by_the_check_and_by_no_page
    sql("ALTER TABLE vidcache_leases RENAME TO hidden")
    assert_equal :agreed, page.reason
    assert_equal [MISSING], boot.map(&:message)
    assert_includes check, MISSING
    assert_equal MISSING, assert_raises(Vidcache::TablesUnusable) { Vidcache.cache.lease(@user.id, 5) }.message
  ensure
    sql("ALTER TABLE hidden RENAME TO vidcache_leases")
  end

  MISSING_ROW = "#{UNUSABLE}their row in vidcache_meta is missing: a process that begins makes one if the other tables are empty; " \
                "if they are not, put that row back from a backup, or empty them all, and with them what is known of erasures".freeze

  def test_tables_that_were_emptied_say_less_until_a_process_begins_anew
    sql("TRUNCATE #{TestStore::TABLES.join(", ")}")
    assert_equal :stale, page.reason
    assert_equal [MISSING_ROW], @reported.map(&:message)
    # What is doubted by no row, and rows over which none can be made any more.
    file = Vidcache.open("#{@dir}/file.vidcache", portal_id: Vidcache.cache.portal_id, secret: "sixteen bytes, or more")
    file.link(77, 901)
    assert_equal MISSING_ROW, assert_raises(Vidcache::TablesUnusable) { Vidcache.cache.doubt_all }.message
    assert_equal MISSING_ROW, assert_raises(Vidcache::TablesUnusable) { Vidcache.cache.copy(file) }.message
    TestStore.open(@dir)
    assert_equal :not_linked, page.reason, "of the same key, since it is of the same secret"
  end

  def test_the_check_says_how_long_a_page_waits_for_a_lock
    assert_match(/ok: the database: its tables in schema public can be used.* waits .* for as long as it is: set lock_timeout/, check)
    sql("SET lock_timeout = '3s'; SET statement_timeout = '20s'")
    assert_includes check, "waits for a table that is locked no longer than 3s (lock_timeout) or 20s (statement_timeout)"
  ensure
    sql("SET lock_timeout = 0; SET statement_timeout = 0")
  end

  # What no version of this library writes, in each column of each table, with rows in all of them.
  GARBAGE = {
    "bigint" => %w[NULL 0 9223372036854775807 -9223372036854775808],
    "bytea" => ["NULL", "'\\x'", "'\\xff00'", "'\\x0101'", "decode(repeat('ab', 300), 'hex')"],
    "boolean" => %w[NULL false]
  }.freeze
  ROWS = <<~SQL
    INSERT INTO vidcache_merges VALUES (902, 901, 5, false, 5);
    INSERT INTO vidcache_secondaries VALUES (901, '\\x00112233445566778899aabbccddeeff', 5);
    INSERT INTO vidcache_conflicts VALUES ('\\x010000000000000007', 907, 1, 5, 5, NULL);
    INSERT INTO vidcache_changes VALUES (5, '\\x010000000000000007', 5, 5, 5, NULL, 5);
    INSERT INTO vidcache_touched VALUES (5, '\\x010000000000000007', 5);
    INSERT INTO vidcache_erased VALUES (903);
    INSERT INTO vidcache_buried VALUES (sha256('y'));
    INSERT INTO vidcache_erased_users VALUES ('\\x00112233445566778899aabbccddeeff');
    INSERT INTO vidcache_leases VALUES ('\\x010000000000000007', 5, 5);
    UPDATE vidcache_contacts SET whose = '';
  SQL

  def test_garbage_in_any_column_makes_a_page_say_less_and_no_other_email_or_id
    sql(ROWS)
    assert_equal :agreed, page.reason
    tried = stale = 0
    columns.each do |table, column, type|
      GARBAGE.fetch(type).each do |garbage|
        ActiveRecord::Base.transaction do
          next unless done?("UPDATE #{table} SET #{column} = #{garbage}")

          tried += 1
          where = "#{table}.#{column} = #{garbage}"
          said = page
          stale += 1 if said.reason == :stale
          assert_includes [nil, 901, (2**63) - 1], said.id, where
          assert_nil Vidcache.cache.decide(@user.id, "eve@shop.test").email, where
          # A worker is told, or it is done; whatever the server refuses is an error of this library's.
          begin
            confirm(@user.id, "ann@shop.test", at: Time.now + 5)
          rescue Vidcache::Error => e
            assert_operator e.code_number, :<, 500, where
          end
          raise ActiveRecord::Rollback
        end
      end
    end
    assert_operator tried, :>, 120
    assert_operator stale, :>, 10
    assert_equal :agreed, page.reason
  end

  private

  # @param at_boot [Array(Symbol, String)] the error's code and words
  # @param on_pages [Array(Symbol, String), nil] nil: a page is as it was
  # @param looking [PG::Connection, nil] whose look at the tables nobody keeps waiting
  def assert_refused(at_boot, on_pages, looking = nil)
    return PostgresServer.get.connect(database) { |another| assert_refused(at_boot, on_pages, another) } unless looking

    code, words = at_boot
    before = rows(looking, but: "vidcache_deadlines")
    assert_equal [code], boot.map(&:code)
    assert_includes log, "vidcache: the database cannot be used, so pages go out without HubSpot's tracking code, and whoever signs up or " \
                         "saves an email is shown an error: #{@reported.first.class}: #{words}"
    assert_includes check, "wrong: the database: #{words}"
    assert_equal before, rows(looking, but: "vidcache_deadlines"), "nothing was written but that there is a process"
    before = rows(looking)
    @reported.clear
    Vidcache.cache.instance_variable_set(:@kept_up_at, -Float::INFINITY) if on_pages # An hour has passed.
    2.times { assert_equal (on_pages ? :stale : :agreed), page.reason }
    assert_equal [on_pages].compact, (@reported.map { |error| [error.code, error.message[0, on_pages.last.size]] }), "once"
    assert_raises(Vidcache::Error) { confirm(@user.id, "ann@shop.test", at: Time.now + 5) }
    assert_equal before, rows(looking), "nothing was written"
  end

  # @return [Array<Exception>] what a server's boot reports
  def boot
    Vidcache.cache = nil
    @reported.clear
    with_options(portal_id: 62_515) { Vidcache::Boot.stub(:server?, true) { Vidcache::Boot.look } }
    @reported.dup
  ensure
    Vidcache.cache = @cache
  end

  # @return [String] what `vidcache:check` says of the database
  def check
    Vidcache.cache = nil # It is a process of its own.
    with_options(portal_id: 62_515) do
      Vidcache::Check.new(User).run.map { |found| "#{found.how}: #{found.text}" }.grep(/: the database: /).join("\n")
    end
  ensure
    Vidcache.cache = @cache
  end

  def log
    LOG.string.delete("\0")
  end

  def page
    Vidcache.cache.decide(@user.id, @user.email_in_database)
  end

  # @return [Array<String>] of each table that there is
  def rows(connection, but: nil)
    tables = connection.exec("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'hidden') " \
                             "AND tablename <> '#{but}'").column_values(0)
    tables.sort.map { |table| connection.exec("SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM #{table} t").getvalue(0, 0) }
  end

  def database
    ActiveRecord::Base.connection.current_database
  end

  def columns
    ActiveRecord::Base.connection.select_rows("SELECT table_name, column_name, data_type FROM information_schema.columns " \
                                              "WHERE table_schema = 'public' AND table_name LIKE 'vidcache%' ORDER BY 1, 2")
  end

  # Where the column takes it.
  def done?(update)
    ActiveRecord::Base.transaction(requires_new: true) { sql(update) }
  rescue ActiveRecord::StatementInvalid
    false
  end

  def sql(text)
    ActiveRecord::Base.connection.execute(text)
  end
end
