# frozen_string_literal: true

ENV["VIDCACHE_TEST_STORE"] = "database"
require_relative "../rails/helper"
require_relative "../rails/support/connections"
require "minitest/mock"

# Answers of the app's own PostgreSQL that are kept (`config.vidcache.max_age`).
class Vidcache::WatchTest < Vidcache::RailsTest
  include Connections

  # Longer than a test takes on a busy machine.
  LONG = 60

  def setup
    super
    @user = agreed_user
    watch(LONG)
  end

  def test_a_page_from_memory_sends_no_statement_and_nobody_looks_without_pages
    watch(1)
    page
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    pages = 0
    sent = statements do
      until Process.clock_gettime(Process::CLOCK_MONOTONIC) - began > 3
        assert_equal :agreed, page.reason
        pages += 1
      end
    end
    assert_operator pages, :>, 100
    assert_includes 2..8, sent.size, "one in half a second, of #{pages} pages"
    assert_empty(statements { sleep 1.2 })
    assert_equal 1, statements { page }.size
  end

  def test_what_others_write_is_known_after_max_age_and_costs_one_statement_and_whom_it_is_of_one_more
    other = User.create!(email: "bob@shop.test")
    confirm(other.id, other.email, vid: 902)
    watch(1)
    page
    beside = -> { Vidcache.cache.decide(other.id, other.email).reason }
    beside.call
    elsewhere { Vidcache.cache.begin_email_change(@user.id) }
    sleep 1.1
    assert_equal 1, statements { assert_equal :agreed, beside.call }.size
    assert_equal 1, statements { assert_equal :change_outstanding, page.reason }.size
    token = Vidcache.cache.stale_changes(older_than: 0).first.token
    confirm(@user.id, "new@shop.test", change: token, at: Time.now + 1)
    sleep 1.1
    sent = statements { assert_equal [:agreed, 901], page("new@shop.test").to_h.values_at(:reason, :id) }
    assert_equal 2, sent.size, sent.inspect
  end

  def test_each_kind_of_page_comes_from_memory
    html = Vidcache.cache.snippet(@user.id, @user.email)
    assert_empty(statements { assert_includes Vidcache.cache.snippet(@user.id, @user.email), @user.email })
    assert_includes html, @user.email
    assert_empty(statements do
      assert_equal @user.email, Vidcache.cache.page_data(@user.id, @user.email)["email"]
      assert_equal :email_differs, page("another@shop.test").reason
    end)
  end

  def test_a_page_names_an_email_for_as_much_less_as_its_knowledge_is_old
    page
    sleep 0.3
    assert_includes 100_000..119_700, Vidcache.cache.page_data(@user.id, @user.email)["ttl"]
  end

  def test_what_a_transaction_has_written_itself_is_for_its_own_pages
    User.transaction do
      @user.update!(email: "new@shop.test")
      assert_equal :change_outstanding, page.reason
      raise ActiveRecord::Rollback
    end
    assert_equal :agreed, page("ann@shop.test").reason
  end

  def test_an_old_snapshot_is_kept_from_memory
    User.transaction(isolation: :repeatable_read) do
      User.count
      elsewhere { Vidcache.cache.begin_email_change(@user.id) }
      assert_equal :agreed, page.reason, "as it was"
    end
    assert_equal :change_outstanding, page.reason
  end

  def test_no_look_comes_out_of_active_record_s_query_cache
    watch(1)
    ActiveRecord::Base.cache do
      page
      sleep 1.1
      page
      elsewhere { Vidcache.cache.begin_email_change(@user.id) }
      sleep 1.1
      assert_equal :change_outstanding, page.reason
    end
  end

  def test_who_shares_a_contact_takes_two_statements_and_then_none
    other = User.create!(email: "bob@shop.test")
    Vidcache.cache.link_shared(other.id, 901)
    Vidcache.cache.decide(0, nil) # What is kept begins with one statement.
    assert_equal 2, statements { page }.size
    assert_empty(statements { assert_equal :agreed, page.reason })
    assert_equal 1, Vidcache.cache.stats[:walks]
  end

  def test_threads_share_what_is_kept
    page
    User.connection_pool.release_connection
    answers = Array.new(4) { Thread.new { Array.new(50) { page.reason } } }.flat_map(&:value)
    assert_equal [:agreed], answers.uniq
    assert_operator Vidcache.cache.stats[:asks], :<=, 5
  end

  def test_the_child_of_a_fork_answers_and_hears_of_what_is_written
    watch(1)
    page
    ActiveRecord::Base.connection_handler.clear_all_connections! if ActiveRecord::Base.connection_handler.respond_to?(:clear_all_connections!)
    reader, writer = IO.pipe
    child = fork do
      said = [page.reason]
      sleep 1.3
      said << page.reason
      writer.write(said.join(" "))
      writer.close
      exit!(0)
    end
    writer.close
    elsewhere { Vidcache.cache.begin_email_change(@user.id) }
    Process.wait(child)
    assert_includes ["agreed change_outstanding", "change_outstanding change_outstanding"], reader.read
    sleep 1.1
    assert_equal :change_outstanding, page.reason
  end

  def test_without_an_answer_memory_serves_for_as_long_as_it_may
    watch(1)
    page
    gone = ->(*) { raise Vidcache::Storage, "gone" }
    Vidcache.cache.instance_variable_get(:@connection).stub(:ask_prepared, gone) do
      assert_equal :agreed, page.reason
      sleep 1.1
      assert_equal [:stale, 901], page.to_h.values_at(:reason, :id)
    end
  end

  def test_the_counts_of_a_process
    page
    2.times { page }
    stats = Vidcache.cache.stats
    assert_equal({ hits: 2, looks: 1, forgotten: 0, entries: 1, asks: 1 }, stats.slice(:hits, :looks, :forgotten, :entries, :asks))
    assert_operator stats[:bytes], :>, 0
    names = Vidcache::Metrics.read.map(&:name)
    assert_empty %w[vidcache.hits vidcache.looks vidcache.forgotten vidcache.entries vidcache.memory] - names
  end

  def test_the_setting_is_checked_and_the_check_says_it
    [0.5, 6, -1].each do |wrong|
      with_options(portal_id: 62_515, max_age: wrong) do
        assert_match(/max_age is 0, or from 1 s to half/, assert_raises(ArgumentError) { Vidcache.settings.check }.message)
      end
    end
    { 5 => "what it answered is kept for 5.0 s", nil => "each page asks" }.each do |age, said|
      with_options(portal_id: 62_515, max_age: age) do
        Vidcache.settings.check
        Vidcache.cache = nil
        assert_includes Vidcache::Check.new(User).run.map(&:text).join("\n"), said
        assert_equal !age.nil?, Vidcache.cache.stats.key?(:hits)
      end
    end
  ensure
    Vidcache.cache = @cache
  end

  private

  def watch(max_age)
    @cache = Vidcache.cache = TestStore.open(@dir, max_age: max_age, page_deadline: max_age * 2)
  end

  def page(email = @user.email)
    Vidcache.cache.decide(@user.id, email)
  end
end
