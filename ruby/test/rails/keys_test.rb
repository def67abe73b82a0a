# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"
require_relative "support/app_folder"

# One key is one person, over all models. `User` of the helper has bare ids.
class Vidcache::KeysTest < Vidcache::RailsTest
  module Models; end

  class Customer < ActiveRecord::Base
    self.table_name = "users"
    has_vid prefix: "customer-", job: "HubspotContactJob"
  end

  def teardown
    Models.constants.each { |name| Models.send(:remove_const, name) }
    super
  end

  def test_a_second_model_with_bare_ids_raises_as_it_is_loaded_and_says_what_to_do
    error = assert_raises(ArgumentError) { define("Order") { has_vid } }
    assert_includes error.message, "Vidcache::KeysTest::Models::Order and User both have"
    assert_match(/has_vid prefix: "[\w-]+-order-"/, error.message)
    assert_raises(ArgumentError) { define("Member") { has_vid email: :mail, key: "id" } }
    define("Guest") { has_vid key: :uuid }
    define("Buyer") { has_vid prefix: "buyer-" }
  end

  def test_one_model_may_be_loaded_again_and_have_models_below_it
    admin = define("Admin", User) { has_vid job: "OtherJob" }
    assert_equal "OtherJob", admin.vidcache_job
    define("Clerk", admin)
    User.has_vid email: :email, job: "HubspotContactJob"
  end

  def test_models_below_a_class_without_rows_are_models_of_their_own
    define("Record") do
      self.abstract_class = true
      has_vid
    end
    assert_raises(ArgumentError) { Models.module_eval("class Buyer < Record; end", __FILE__, __LINE__) }
  end

  def test_a_reload_takes_the_models_as_they_are_then
    app = AppFolder.new(Dir.mktmpdir("keys-", SCRATCH))
    model = ->(name) { "class #{name} < ApplicationRecord\n  self.table_name = 'users'\n  has_vid\nend\n" }
    app.write("app/models/user.rb", model.call("User"))
    output = app.run(<<~RUBY)
      require "./config/environment"
      said = [User.vidcache_key_method]
      Rails.application.reloader.reload!
      said << User.vidcache_key_method
      File.write("app/models/member.rb", #{model.call("Member").inspect})
      File.delete("app/models/user.rb")
      Rails.application.reloader.reload!
      said << Member.vidcache_key_method
      File.write("app/models/guest.rb", #{model.call("Guest").inspect})
      said << begin
        Rails.application.reloader.reload! # Rails 7 loads all of it at once.
        [Member, Guest]
      rescue ArgumentError => e
        e.message[/\\w+ and \\w+/].split(" and ").sort.join(" and ")
      end
      print said.join(" ")
    RUBY
    assert_equal "id id id Guest and Member", output
  end

  def test_a_prefix_tells_the_ids_of_two_models_apart
    ann = User.create!(email: "ann@shop.test")
    confirm(ann.id, ann.email)
    bob = Customer.create!(id: 4711 + ann.id, email: "bob@else.test")
    assert_equal "customer-#{bob.id}", bob.vidcache_key
    assert_nil Customer.new.vidcache_key, "who has no id yet is not everybody"
    assert_equal bob, Customer.find_by_vidcache_key("customer-#{bob.id}")
    [bob.id, bob.id.to_s, "customer-", "customer-0"].each { |key| assert_nil Customer.find_by_vidcache_key(key) }

    confirm(bob.vidcache_key, bob.email, vid: 902)
    jobs.clear
    bob.update!(email: "bob@new.test")
    assert_equal %i[change_outstanding agreed], [reason(bob), reason(ann)]
  end

  private

  def define(name, parent = ActiveRecord::Base, &body)
    Models.const_set(name, Class.new(parent) { self.table_name = "users" })
    Models.const_get(name).tap { |model| model.class_eval(&body) if body }
  end
end
