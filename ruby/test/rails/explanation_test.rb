# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# "Why is this user not named?": what the support desk is told, for each cause that it meets.
class Vidcache::ExplanationTest < Vidcache::RailsTest
  include PortalJobs

  class Confirmed < ActiveRecord::Base
    self.table_name = "users"
    has_vid prefix: "confirmed-", if: -> { name.present? }
  end

  # HubSpot, asked for a contact.
  Api = Struct.new(:code) do
    def call(*) = self
  end

  def setup
    super
    Rails.cache.clear
  end

  def teardown
    Vidcache::HubspotHttp.stand_in = nil
    super
  end

  def test_a_user_is_found_by_id_and_by_email
    user = signed_up
    [{ id: user.id.to_s }, { email: "ann@shop.test" }, { email: " Ann@Shop.test " }]
      .each { |who| assert_includes why(**who), "The page names the email and the id #{linked(user)}" }
    assert_equal "There is no such user in User.", why(email: "nobody@shop.test")
    user.destroy!
    assert_includes why(id: user.id.to_s), "There is no user #{user.id} in User any more"
  end

  def test_no_log_repeats_the_email_that_somebody_is_looked_up_by
    User.create!(email: "ann@shop.test")
    written = StringIO.new
    former = ActiveRecord::Base.logger
    ActiveRecord::Base.logger = Logger.new(written)
    why(email: "ann@shop.test")
    why(email: "nobody@shop.test")
    refute_empty written.string, "other statements are logged"
    refute_match(/ann@|nobody@/, written.string)
  ensure
    ActiveRecord::Base.logger = former
  end

  def test_whose_the_contact_is_that_holds_the_email
    first = signed_up
    second = signed_up_with_the_same_contact_as(first)
    said = why(id: second.id.to_s)
    assert_includes said, "Contact #{linked(first)} is user #{first.id}'s; the user's own is none. `rails vidcache:merge CONFLICT=#{second.id}`"

    words = { status: "error", category: "CONFLICT", message: "Contact already exists. Existing ID: 977" }.to_json
    assert_raises(Vidcache::ContactConflict) { @cache.record(first.id, Clients::ApiError.new(409, words)) }
    assert_includes why(id: first.id.to_s), "is no user's of the app; the user's own is contact #{linked(first)}"
  end

  def test_an_email_that_was_written_past_the_callbacks
    user = signed_up
    user.update_columns(email: "past@shop.test")
    said = why(id: user.id.to_s)
    assert_includes said, "HubSpot holds another email for the contact"
    assert_includes said, "written in the app past `has_vid`"
  end

  def test_a_job_that_died_and_one_that_was_never_heard_of
    user = User.create!(email: "ann@shop.test")
    jobs.clear
    assert_includes why(id: user.id.to_s), "Of a job that failed nothing is known: it was lost, or there was none."
    @portal.answer_with(:create, Vidcache::NotConfigured.new("config.vidcache.access_token is not set"))
    Job.perform_now(user)
    assert_match(/Its last job failed at 20\d\d-\S+ \S+ UTC: config.vidcache.access_token is not set\./, why(id: user.id.to_s))
    drain
    refute_includes why(id: user.id.to_s), "failed"

    user.update!(email: "new@shop.test")
    jobs.clear
    sleep 0.03
    assert_includes why(id: user.id.to_s), "An hour after the change began, `rails vidcache:reconcile` makes another job."
    quiet_period(60)
    assert_match(/Its job tells HubSpot at 20/, why(id: user.id.to_s))
  end

  def test_no_address_none_that_is_confirmed_and_a_link_of_which_hubspot_has_said_nothing
    user = User.create!(email: "not an address")
    assert_includes why(id: user.id.to_s), "The app's email is no address that HubSpot could hold"
    other = Confirmed.create!(email: "ann@shop.test")
    said = Vidcache::Explanation.new(Confirmed, id: other.vidcache_key).sentences.join("\n")
    assert_includes said, "`has_vid if:` says no"
    third = User.create!(email: "third@shop.test")
    @cache.link(third.id, 4711)
    assert_includes why(id: third.id.to_s), "HubSpot has not said which email it holds"
  end

  def test_a_contact_that_was_deleted_in_hubspot_and_a_webhook_that_never_came
    user = signed_up
    Vidcache::HubspotHttp.stand_in = Api.new("404")
    with_options(access_token: "pat-1", client_secret: "y" * 36) do
      said = why(id: user.id.to_s)
      assert_includes said, "HubSpot has no contact #{linked(user)} now: it was deleted"
      assert_includes said, "No webhook is known to have come"
      Vidcache::Explanation::Traces.webhook
      assert_match(/The last webhook came at 20/, why(id: user.id.to_s))
    end
    assert_includes why(id: user.id.to_s), "Webhooks are not set up"
  end

  private

  def why(**who)
    Vidcache::Explanation.new(User, **who).sentences.tap { |lines| refute_match(/\w@\w/, lines.join) }.join("\n")
  end

  # An alias that HubSpot has for the same contact.
  def signed_up_with_the_same_contact_as(user)
    second = User.create!(email: "second@shop.test")
    jobs.clear
    assert_raises(Vidcache::VidTaken) { @cache.record(second.id, @portal.read(linked(user))) }
    second
  end
end
