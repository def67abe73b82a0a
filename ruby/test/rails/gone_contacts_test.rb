# frozen_string_literal: true

require_relative "helper"
require_relative "support/over_http"
require "minitest/mock"
require "vidcache/rails/gone_contacts"

# Whose contact HubSpot has no more is found again by their email, against the double over HTTP.
class Vidcache::GoneContactsTest < Vidcache::RailsTest
  include OverHttp

  def setup
    super
    call_the_double
    @waited = waited = []
    @meanwhile = meanwhile = []
    Vidcache::GoneContacts.class_eval do
      define_method(:sleep) do |seconds|
        waited << seconds
        meanwhile.each(&:call)
      end
    end
  end

  def teardown
    Vidcache::GoneContacts.class_eval { remove_method(:sleep) } if Vidcache::GoneContacts.instance_methods(false).include?(:sleep)
    call_nobody
    super
  end

  def test_who_comes_back_through_a_form_after_their_contact_was_deleted_is_named_again
    ann = user("ann@shop.test")
    lost = delete(link(ann, "ann@shop.test"))
    back = contact("Ann@shop.test")
    reconcile
    assert_equal [back, :agreed], [@cache.resolve(ann.id), reason(ann)]
    refute_equal lost, back
    assert_in_delta Vidcache::GoneContacts::AGAIN, @waited.sum, 1
    assert_empty jobs, "nobody is told of anything"
  end

  def test_each_of_those_who_shared_the_contact_is_looked_for
    ann = user("ann@shop.test")
    bob = user("bob@shop.test")
    vid = link(ann, "ann@shop.test")
    @cache.link_shared(bob.id, vid)
    delete(vid)
    back = contact("bob@shop.test")
    reconcile
    assert_equal [vid, :email_unconfirmed], [@cache.resolve(ann.id), reason(ann)], "nobody has her email"
    assert_equal [back, :agreed], [@cache.resolve(bob.id), reason(bob)]
    assert_equal ["bob@shop.test"], @double.emails, "no contact is made"
  end

  def test_a_contact_that_is_another_user_s_stays_theirs
    ann = user("ann@shop.test")
    bob = user("bob@shop.test")
    vid = delete(link(ann, "ann@shop.test"))
    bobs = link(bob, "ann@shop.test")
    # What Bob's contact holds is read, and it is not his email.
    reconcile
    assert_equal [vid, bobs], [@cache.resolve(ann.id), @cache.resolve(bob.id)]
    assert_equal :email_unconfirmed, reason(ann)
  end

  def test_one_answer_alone_moves_nobody
    ann = user("new@shop.test")
    mine = link(ann, "old@shop.test")
    contact("new@shop.test")
    once = true
    read = Vidcache::ContactReader.instance_method(:read)
    Vidcache::ContactReader.class_eval do
      define_method(:read) { |vids| once ? (once = false) || {} : read.bind_call(self, vids) }
    end
    reconcile
    assert_equal [mine, :email_differs], [@cache.resolve(ann.id), reason(ann)]
    assert_equal 1, @waited.size
  ensure
    Vidcache::ContactReader.class_eval { define_method(:read, read) }
  end

  def test_whose_email_is_being_changed_is_left_to_the_change_s_job
    ann = user("ann@shop.test")
    vid = delete(link(ann, "ann@shop.test"))
    contact("ann@shop.test")
    @meanwhile << -> { @cache.begin_email_change(ann.id) }
    reconcile
    assert_equal [vid, :change_outstanding], [@cache.resolve(ann.id), reason(ann)]
  end

  def test_an_email_that_hubspot_refuses_hides_nobody_else
    odd = user("odd@shop")
    ann = user("ann@shop.test")
    # No email. HubSpot would say that it has no 77, and the contact of that id would be taken for gone.
    user("77").tap { |number| @cache.link(number.id, 999_999) }
    @cache.record(4711, { id: 77, properties: { email: "bob@shop.test" }, updatedAt: Time.now.utc.iso8601(3) })
    [odd, ann].each { |one| @cache.link(one.id, 999_000 + one.id) }
    back = contact("ann@shop.test")
    refused = { status: "error", message: "Email address odd@shop is invalid", category: "VALIDATION_ERROR",
                errors: [{ message: "Email address odd@shop is invalid", code: "INVALID_EMAIL" }] }
    call = Vidcache::ContactReader.instance_method(:call)
    Vidcache::ContactReader.class_eval do
      define_method(:call) do |method, path, body = nil|
        next call.bind_call(self, method, path, body) unless JSON.generate(body).include?("odd@shop\"")

        Net::HTTPBadRequest.new("1.1", "400", "Bad Request").tap do |answer|
          answer.instance_variable_set(:@body, JSON.generate(refused))
          answer.instance_variable_set(:@read, true)
        end
      end
    end
    reconcile
    assert_equal [back, :agreed], [@cache.resolve(ann.id), reason(ann)]
    assert_equal :email_unconfirmed, reason(odd)
    assert_equal :agreed, @cache.decide(4711, "bob@shop.test").reason
  ensure
    Vidcache::ContactReader.class_eval { define_method(:call, call) }
  end

  private

  def reconcile
    jobs.clear
    Vidcache::Reconcile.new(User, rate: 1000, again: 0).run
  end

  def user(email)
    User.create!(email: email)
  end

  def link(user, email)
    contact(email).tap { |vid| @cache.link(user.id, vid) }
  end

  def contact(email)
    @double.ask("POST", "/crm/v3/objects/contacts", { properties: { email: email } }).fetch("id").to_i
  end

  def delete(vid)
    @double.ask("DELETE", "/contacts/v1/contact/vid/#{vid}")
    vid
  end
end
