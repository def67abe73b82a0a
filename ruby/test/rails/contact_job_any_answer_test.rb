# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# HubSpot answers anything at all to a call of the job: its change ends, or the job comes again, and on the word of one
# answer nobody gets a second contact. The answers are those that the fuzzers start from, with any status, whole and cut
# off.
class Vidcache::ContactJobAnyAnswerTest < Vidcache::RailsTest
  include PortalJobs

  BODIES = Dir[File.expand_path("../../../fuzz/corpus/answer/*", __dir__)].to_h { |file| [File.basename(file), File.binread(file)] }
  STATUSES = [200, 204, 301, 400, 404, 409, 429, 500, nil].freeze

  def test_whatever_hubspot_answers_to_a_change
    refute_empty BODIES
    answers do |what, answer|
      user, vid = known_user
      user.update!(email: "#{vid}@new.test")
      @portal.answer_with(:update, answer)
      once(what) { perform_next }
      assert_equal [0, 1], [calls(:create).size, @portal.emails.size], what
      ends_well(user, what)
    end
  end

  def test_whatever_hubspot_answers_to_the_question_which_contact_that_is
    answers do |what, answer|
      user, vid = known_user
      @cache.forget(user.id)
      user.update!(email: "#{vid}@new.test")
      @portal.answer_with(:read_by_email, answer)
      once(what) { perform_next }
      assert_equal [0, 1], [calls(:create).size, @portal.emails.size], what
      ends_well(user, what)
    end
  end

  private

  # A part of them each time, another one each time: all take minutes.
  def answers(&block)
    all = BODIES.to_a.product(STATUSES, [nil, 0.5]).map do |(name, body), status, part|
      body = body[0, (body.size * part).to_i] if part
      ["#{name} with #{status.inspect}#{", half of it" if part}", status ? Clients::FaradayResponse.new(status, {}, body) : body]
    end
    all.sample(ENV["VIDCACHE_ALL"] ? all.size : 40).each(&block)
  end

  def known_user
    @portal = PortalJobs::Job.portal = Portal.new(@last = (@last || 70_000) + 10)
    jobs.clear
    LOG.truncate(0)
    user = User.create!(email: "#{@last + 1}@shop.test")
    confirm(user.id, user.email, vid: @portal.add(user.email), at: Time.now - 60)
    jobs.clear
    [user, @last + 1]
  end

  def once(what)
    yield
  rescue StandardError => e
    flunk "#{what}: the job died of #{e.class}"
  end

  # The contact that an answer names may be anybody's; then the user ends careful.
  def ends_well(user, what)
    before = @portal.calls.size
    drain
    sleep 0.002 # The clock of the file counts milliseconds.
    assert_empty @cache.stale_changes(older_than: 0).select { |change| change.user_id == user.id.to_s }, what
    assert_operator @portal.calls.size - before, :<=, 60, what
    assert_includes %i[agreed email_differs email_unconfirmed], reason(user), what
    @cache.forget(user.id)
  end
end
