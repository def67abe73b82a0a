# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

ActiveRecord::Schema.define do
  create_table(:elsewhere_members) do |t|
    t.string :name
    t.text :settings
  end
  create_table(:elsewhere_addresses) do |t|
    t.references :member
    t.string :text
    t.boolean :main, default: true
  end
end

# An email that is no attribute of the model: refused, unless the app says who tells of its changes.
class Vidcache::EmailElsewhereTest < Vidcache::RailsTest
  include PortalJobs

  class Address < ActiveRecord::Base
    self.table_name = "elsewhere_addresses"
    belongs_to :member, class_name: "Vidcache::EmailElsewhereTest::Member", optional: true
    has_vid_email_of :member
  end

  class Member < ActiveRecord::Base
    self.table_name = "elsewhere_members"
    has_many :addresses, autosave: true, class_name: "Vidcache::EmailElsewhereTest::Address", foreign_key: :member_id, dependent: :destroy
    has_vid email: :mail, prefix: "member-", told_by: "Vidcache::EmailElsewhereTest::Address", job: PortalJobs::Job

    def mail = Address.where(member_id: id, main: true).order(:id).first&.text
  end

  class ByApp < ActiveRecord::Base
    self.table_name = "elsewhere_members"
    has_vid email: :name_and_host, prefix: "app-", told_by: :app, job: PortalJobs::Job

    def name_and_host = name && "#{name}@shop.test"
  end

  class InJson < ActiveRecord::Base
    self.table_name = "elsewhere_members"
    store :settings, accessors: [:mail], coder: JSON
    has_vid email: :mail, prefix: "json-", told_by: name, job: PortalJobs::Job
    has_vid_email_of :itself
  end

  def setup
    super
    [Member, Address].each(&:delete_all)
  end

  def test_an_email_that_nobody_tells_of_is_refused_at_its_first_use_with_what_to_do
    model = named("Refused") do
      has_vid email: :mail, prefix: "refused-"
      alias_method :mail, :itself
    end
    error = assert_raises(ArgumentError) { model.create!(name: "ann@shop.test") }
    ["email: :mail", 'told_by: "EmailAddress"', "has_vid_email_of :itself", "hubspot_email_will_change!"]
      .each { |word| assert_includes error.message, word }
    assert_equal 0, model.count, "no row without a way to tell of it"
    assert_raises(ArgumentError) { model.new(id: 1).vidcache_email }

    misspelt = named("Misspelt") { has_vid email: :emial, prefix: "misspelt-" }
    error = assert_raises(ArgumentError) { misspelt.create!(name: "ann") }
    assert_includes error.message, "emial is no attribute of it, nor an alias of one, nor a method: elsewhere_members has id, name, settings"

    half = named("Half") do
      has_vid email: :mail, prefix: "half-", told_by: "User"
      alias_method :mail, :itself
    end
    assert_includes assert_raises(ArgumentError) { half.create! }.message, "User does not say `has_vid_email_of :half`"
  end

  def test_a_change_in_another_table_is_begun_told_and_named
    member = signed_up_member
    assert_equal ["ann@shop.test", :agreed], [*@portal.emails, reason(member)]

    member.addresses.first.update!(text: "new@shop.test")
    assert_equal [:change_outstanding, ["ann@shop.test"]], [reason(member), @portal.emails]
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, reason(member)]
  end

  def test_what_leaves_the_email_as_it_is_begins_nothing
    member = signed_up_member
    second = member.addresses.create!(text: "second@shop.test", main: false)
    second.update!(text: "other@shop.test")
    second.destroy!
    member.update!(name: "Ann")
    assert_equal [[], []], [outstanding, jobs]
  end

  def test_another_address_becomes_the_users_by_a_flag_by_a_deletion_or_by_a_new_owner
    member = signed_up_member
    first = member.addresses.first
    member.addresses.create!(text: "second@shop.test")
    assert_empty outstanding
    first.update!(main: false)
    assert_equal [1, :change_outstanding], [outstanding.size, reason(member)]
    drain
    assert_equal ["second@shop.test"], @portal.emails

    member.addresses.last.destroy!
    assert_equal 1, outstanding.size, "now there is none"
    drain

    other = signed_up_member("bob@shop.test")
    address = other.addresses.first
    address.update!(member_id: member.id)
    assert_equal %i[change_outstanding change_outstanding], [reason(member), reason(other)]
  end

  def test_a_rollback_abandons_it
    member = signed_up_member
    Address.transaction do
      member.addresses.first.update!(text: "new@shop.test")
      raise ActiveRecord::Rollback
    end
    assert_equal [:agreed, [], []], [reason(member), outstanding, jobs]
  end

  def test_the_app_says_so_itself_in_the_transaction
    user = ByApp.create!(name: "ann")
    drain
    ByApp.transaction do
      token = user.hubspot_email_will_change!
      assert_equal [token], outstanding
      ByApp.where(id: user.id).update_all(name: "eve")
    end
    assert_equal :change_outstanding, reason(user.reload)
    drain
    assert_equal [["eve@shop.test"], :agreed], [@portal.emails, reason(user)]

    ByApp.transaction { user.hubspot_email_will_change! && raise(ActiveRecord::Rollback) }
    assert_equal [:agreed, []], [reason(user), jobs]
    error = assert_raises(ArgumentError) { user.hubspot_email_will_change! }
    assert_includes error.message, "inside the transaction"
    assert_empty outstanding
  end

  def test_an_email_in_a_json_column_is_told_by_its_own_model
    user = InJson.create!(mail: "ann@shop.test")
    drain
    assert_equal :agreed, reason(user)
    user.update!(name: "Ann")
    assert_empty jobs
    user.update!(mail: "new@shop.test")
    assert_equal :change_outstanding, reason(user)
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, reason(user)]
  end

  def test_who_is_destroyed_with_their_addresses_is_forgotten
    member = signed_up_member
    member.destroy!
    drain
    assert_equal [nil, []], [@cache.resolve(member.vidcache_key), outstanding]
  end

  private

  def signed_up_member(email = "ann@shop.test")
    Member.transaction { Member.create!.tap { |member| member.addresses.create!(text: email) } }.tap { drain }
  end

  def named(name, &block)
    self.class.send(:remove_const, name) if self.class.const_defined?(name, false)
    self.class.const_set(name, Class.new(ActiveRecord::Base) { self.table_name = "elsewhere_members" }).tap { |model| model.class_eval(&block) }
  end
end
