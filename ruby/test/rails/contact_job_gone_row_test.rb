# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# A row that goes while HubSpot is asked: what HubSpot answers is recorded for nobody.
class Vidcache::ContactJobGoneRowTest < Vidcache::RailsTest
  include PortalJobs

  def test_a_row_that_is_destroyed_while_hubspot_is_told_stays_forgotten
    user = signed_up
    user.update!(email: "new@shop.test")
    meanwhile(:update) { User.find(user.id).destroy! }
    drain
    assert_nil linked(user)
    assert_empty outstanding
    again = signed_up("new@shop.test")
    assert_equal [:agreed, []], [reason(again), @reported], "the email is free for whoever signs up with it"
  end

  def test_so_does_one_whose_sign_up_was_on_its_way
    user = User.create!(email: "ann@shop.test")
    meanwhile(:create) { User.find(user.id).destroy! }
    drain
    assert_nil linked(user)
    assert_equal :agreed, reason(signed_up("ann@shop.test"))
  end

  def test_the_next_row_of_the_key_is_not_linked_to_the_former_one_s_contact
    user = signed_up
    user.update_columns(created_at: Time.now - 60)
    user.update!(email: "new@shop.test")
    vid = linked(user)
    meanwhile(:update) do
      User.find(user.id).destroy!
      User.create!(id: user.id, email: "bob@else.test")
    end
    perform_next
    assert_nil linked(user)
    drain
    assert_equal [%w[bob@else.test new@shop.test], :agreed], [@portal.emails, reason(User.find(user.id))]
    refute_equal vid, linked(user)
  end

  def test_a_row_that_goes_just_before_the_answer_is_recorded_is_forgotten
    user = signed_up
    user.update!(email: "new@shop.test")
    record = @cache.method(:record)
    cache = Object.new
    cache.define_singleton_method(:record) do |*arguments, **options|
      User.where(id: user.id).delete_all # Where the row's own callbacks have forgotten them by then.
      record.call(*arguments, **options)
    end
    real = @cache
    cache.define_singleton_method(:method_missing) { |name, *arguments, **options, &block| real.public_send(name, *arguments, **options, &block) }
    cache.define_singleton_method(:respond_to_missing?) { |*| true }
    Vidcache.cache = cache
    perform_next
    assert_nil linked(user)
    assert_empty jobs
  end

  private

  # Once, when the call has reached HubSpot and before its answer is back.
  def meanwhile(name)
    done = false
    @portal.define_singleton_method(name) do |*arguments|
      super(*arguments).tap do
        yield unless done
        done = true
      end
    end
  end
end
