# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"
require "minitest/mock"

# What becomes of a user's save while the file cannot be opened.
class Vidcache::UnavailableTest < Vidcache::RailsTest
  include PortalJobs

  def teardown
    TestApp.config.vidcache.when_unavailable = :raise
    TestApp.config.vidcache.portal_id = nil
    super
  end

  def test_a_save_raises_unless_the_app_says_otherwise_and_the_error_says_what_to_do
    user = signed_up
    without_file do
      error = assert_raises(Vidcache::CannotOpen) { user.update!(email: "new@shop.test") }
      ["#{@dir}/hubspot.vidcache", "config.vidcache.path"].each { |word| assert_includes error.message, word }
      assert_raises(Vidcache::CannotOpen) { User.create!(email: "eve@shop.test") }
      user.reload.update!(name: "Ann")
    end
    assert_equal [["ann@shop.test"], []], [User.pluck(:email), jobs]
    TestApp.config.vidcache.delete(:when_unavailable)
    default = ->(*) { Vidcache::Settings.new(TestApp.instance).when_unavailable }
    assert_equal %i[save raise], [true, false].map { |there| Rails.env.stub(:development?, there, &default) }
  end

  def test_a_change_that_was_saved_without_the_file_is_begun_by_its_job_once_the_file_is_back
    saves_without_it
    user = signed_up
    vid = linked(user)
    without_file do
      user.update!(email: "new@shop.test")
      assert_nil user.vidcache_change
      assert_equal [[user, nil]], jobs.map { |job| ActiveJob::Arguments.deserialize(job["arguments"]) }
      12.times { perform_next } # More often than any other job is tried.
      assert_operator jobs.first[:at] - Time.now.to_f, :<=, 601
    end
    assert_equal [["ann@shop.test"], "new@shop.test", :email_differs], [@portal.emails, user.reload.email, reason(user)]

    perform_next
    assert_equal [1, :change_outstanding, ["ann@shop.test"]], [outstanding.size, reason(user), @portal.emails], "HubSpot is not told yet"
    assert_in_delta 3605, jobs.first[:at] - Time.now.to_f, 5
    in_an_hour { drain }
    assert_equal [["new@shop.test"], vid, :agreed], [@portal.emails, linked(user), reason(user)]
    assert_equal 1, @reported.grep(Vidcache::CannotOpen).size, "told once"
  end

  def test_a_change_back_and_a_change_that_the_file_knows_end_right
    saves_without_it
    user = signed_up
    without_file { user.update!(email: "new@shop.test") }
    user.update!(email: "ann@shop.test")
    perform_next
    assert_equal 2, outstanding.size
    in_an_hour { drain }
    assert_equal [["ann@shop.test"], :agreed, []], [@portal.emails, reason(user), outstanding]
  end

  def test_a_rollback_leaves_nothing
    saves_without_it
    user = signed_up
    without_file do
      User.transaction do
        user.update!(email: "new@shop.test")
        raise ActiveRecord::Rollback
      end
    end
    assert_empty jobs
  end

  def test_a_sign_up_without_the_file_is_linked_later_and_nothing_that_is_known_since_is_forgotten
    saves_without_it
    user = without_file { User.create!(email: "ann@shop.test") }
    own = jobs.shift
    @cache.record(user.id, @portal.read(@portal.add("ann@shop.test")))
    jobs << own
    drain
    assert_equal [["ann@shop.test"], :agreed], [@portal.emails, reason(user)]
    assert_equal [Vidcache::CannotOpen], @reported.map(&:class)
  end

  def test_a_row_that_was_made_without_the_file_takes_nothing_over_from_who_had_its_key
    saves_without_it
    former = signed_up
    vid = linked(former)
    User.where(id: former.id).delete_all
    user = without_file { User.create!(id: former.id, email: "eve@shop.test") }
    drain
    refute_equal vid, linked(user)
    assert_equal [%w[ann@shop.test eve@shop.test], :agreed], [@portal.emails, reason(user)]
    assert_includes @reported.map(&:class), Vidcache::KeyReused
  end

  def test_a_job_that_is_none_of_ours_and_arguments_that_are_wrong_raise_all_the_same
    saves_without_it
    user = signed_up
    User.vidcache_job = "HubspotContactJob"
    without_file { assert_raises(Vidcache::CannotOpen) { user.update!(email: "new@shop.test") } }
    User.vidcache_job = Job
    user.reload.stub(:vidcache_key, "") do
      assert_raises(Vidcache::InvalidUserKey) { user.update!(email: "new@shop.test") }
    end
  end

  def test_any_other_value_stops_the_boot
    TestApp.config.vidcache.when_unavailable = :ignore
    error = assert_raises(ArgumentError) { Vidcache::Settings.new(TestApp.instance).check }
    assert_includes error.message, "neither :raise nor :save"
  end

  private

  def saves_without_it
    TestApp.config.vidcache.when_unavailable = :save
    Vidcache.settings = nil
    quiet_period(0.02)
  end

  # The file is not there, and something else is.
  def without_file
    @cache.close
    FileUtils.mv(Dir["#{@dir}/hubspot.vidcache*"], FileUtils.mkdir_p("#{@dir}/away").first)
    FileUtils.mkdir("#{@dir}/hubspot.vidcache")
    TestApp.config.vidcache.portal_id = 62_515
    Vidcache.cache = nil
    yield
  ensure
    FileUtils.rmdir("#{@dir}/hubspot.vidcache")
    FileUtils.mv(Dir["#{@dir}/away/*"], @dir)
    open_anew
  end
end
