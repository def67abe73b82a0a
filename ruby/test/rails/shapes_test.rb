# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# The shapes that apps' users have: deleted softly, in another database, encrypted, with keys of several columns.
class Vidcache::ShapesTest < Vidcache::RailsTest
  include PortalJobs

  # As paranoia and discard do it: a column and a scope; and a restoration.
  class Softly < ActiveRecord::Base
    self.table_name = "users"
    default_scope { where(name: nil) }
    has_vid prefix: "soft-", job: PortalJobs::Job

    def destroy
      run_callbacks(:destroy) { update_columns(name: "deleted") }
      self
    end

    def restore = self.class.unscoped.where(id: id).update_all(name: nil)
  end

  # In a database of its own.
  class Elsewhere < ActiveRecord::Base
    self.abstract_class = true
  end

  class Buyer < Elsewhere
    self.primary_key = :uuid
    has_vid key: :uuid, prefix: "buyer-", job: PortalJobs::Job
  end

  # One table, several classes: the subclass's users are of the key and the job that the base class says.
  class Account < ActiveRecord::Base
    self.table_name = "shaped_users"
    has_vid prefix: "account-", job: PortalJobs::Job, if: -> { !email.end_with?("@shop-tests.test") }
  end

  class Staff < Account; end

  # The other name that Active Record fills in when a row is made.
  class Dated < ActiveRecord::Base
    self.table_name = "dated_users"
    has_vid prefix: "dated-", job: PortalJobs::Job
  end

  def test_when_a_row_was_made_may_stand_in_created_on
    ActiveRecord::Schema.define { create_table(:dated_users, force: true) { |t| t.string(:email) && t.datetime(:created_on) } }
    dated = Dated.create!(email: "ann@shop.test")
    assert_in_delta Time.now.to_f, dated.vidcache_made_at.to_f, 2
    assert Vidcache::ContactJob::Creating.younger?(dated)
    dated.update_columns(created_on: Time.now - 86_400)
    refute Vidcache::ContactJob::Creating.younger?(dated), "made before the file was"
  end

  def test_a_softly_deleted_user_is_kept_and_their_change_still_told_and_who_is_restored_is_named_again
    user = Softly.create!(email: "ann@shop.test").tap { drain }
    user.destroy
    assert_nil Softly.find_by(id: user.id)
    assert_equal 901, @cache.resolve(user.vidcache_key), "the row is there, and may come back"
    hidden = Softly.unscoped.find(user.id)
    hidden.update!(email: "gone@shop.test")
    drain
    assert_equal ["gone@shop.test"], @portal.emails
    hidden.restore
    assert_equal :agreed, Softly.find(user.id).vidcache_decision.reason
    Softly.unscoped.where(id: user.id).delete_all
  end

  def test_users_of_a_second_database_change_with_its_transactions
    only(:file)
    Elsewhere.establish_connection(adapter: "sqlite3", database: "#{@dir}/elsewhere.sqlite3")
    Elsewhere.connection.create_table(:buyers, id: false) { |t| t.string(:uuid, primary_key: true) && t.string(:email) }
    user = Buyer.create!(uuid: SecureRandom.uuid, email: "ann@shop.test").tap { drain }
    Buyer.transaction do
      User.transaction { user.update!(email: "new@shop.test") }
      raise ActiveRecord::Rollback
    end
    assert_equal [[], [], :agreed], [jobs, outstanding, user.reload.vidcache_decision.reason]
    User.transaction { user.update!(email: "new@shop.test") && raise(ActiveRecord::Rollback) }
    assert_equal "new@shop.test", user.reload.email, "another database's rollback is none of it"
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, user.vidcache_decision.reason]
  ensure
    Elsewhere.remove_connection
  end

  def test_classes_of_one_table_are_one_model_and_test_accounts_are_never_told
    accounts { |t| t.string :type }
    staff = Staff.create!(email: "ann@shop.test").tap { drain }
    assert_equal ["account-#{staff.id}", :agreed], [staff.vidcache_key, Account.find(staff.id).vidcache_decision.reason]
    customer = staff.becomes!(Account)
    customer.update!(email: "new@shop.test")
    drain
    assert_equal :agreed, Account.find(staff.id).vidcache_decision.reason

    robot = Account.create!(email: "robot@shop-tests.test")
    assert_empty jobs
    robot.update!(email: "other@shop-tests.test")
    Vidcache::Reconcile.new(Account, grace: 0, create: true).find_unlinked
    drain
    assert_equal [["new@shop.test"], :not_linked], [@portal.emails, robot.vidcache_decision.reason]
  end

  # Active Record Encryption, of either kind: the attribute is what counts, not what is written.
  def test_an_encrypted_email_is_told_and_named_and_found
    skip "Active Record Encryption came with Rails 7.0" unless ActiveRecord.const_defined?(:Encryption)

    ActiveRecord::Encryption.configure(primary_key: "p" * 32, deterministic_key: "d" * 32, key_derivation_salt: "s" * 32)
    accounts
    [true, false].each do |deterministic|
      model = encrypted(deterministic)
      user = model.create!(email: "ann@shop.test").tap { drain }
      refute_includes model.connection.select_value("SELECT email FROM shaped_users WHERE id = #{user.id}"), "ann@"
      user.update!(email: "new@shop.test")
      assert_equal :change_outstanding, user.vidcache_decision.reason
      drain
      assert_equal [["new@shop.test"], :agreed], [@portal.emails, model.find(user.id).vidcache_decision.reason]
      user.save! # Nothing has changed, though another ciphertext would be written.
      assert_empty jobs
      found = model.find_vidcache_user_by_email("new@shop.test")
      deterministic ? assert_equal(user, found) : assert_nil(found, "nobody can look for what is encrypted anew each time")
      user.destroy!
      Job.portal = @portal = Portal.new(1000)
    end
  end

  def test_a_key_of_several_columns_is_said_by_a_method_and_else_refused_in_words
    skip "keys of several columns came with Rails 7.1" if ActiveRecord.version < Gem::Version.new("7.1")

    ActiveRecord::Schema.define do
      create_table(:tenants_users, primary_key: %i[shop number], force: true) { |t| t.integer(:shop) && t.integer(:number) && t.string(:email) }
    end
    bare = named("Bare", "tenants_users") { has_vid prefix: "bare-", job: PortalJobs::Job }
    error = assert_raises(ArgumentError) { bare.create!(shop: 1, number: 1, email: "ann@shop.test") }
    assert_includes error.message, "its primary key is of several columns (shop, number)"
    assert_includes Vidcache::Check.model(bare).join, "its primary key is of several columns"

    global_id = Gem.loaded_specs["globalid"]&.version # nil: from a folder
    skip "GlobalID finds no row by several columns before 1.2" if global_id && global_id < Gem::Version.new("1.2")

    model = named("Keyed", "tenants_users") do
      has_vid key: :both, prefix: "keyed-", job: PortalJobs::Job, if: -> { true }
      define_method(:both) { "#{shop}/#{number}" }
      define_singleton_method(:find_by_vidcache_key) do |key|
        shop, number = key.delete_prefix("keyed-").split("/")
        find_by(shop: shop, number: number)
      end
    end
    user = model.create!(shop: 1, number: 2, email: "ann@shop.test").tap { drain }
    other = model.create!(shop: 2, number: 2, email: "bob@shop.test")
    jobs.clear
    user.update!(email: "new@shop.test")
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, user.reload.vidcache_decision.reason]
    assert_equal user, model.find_vidcache_user_by_email("new@shop.test")
    Vidcache::Reconcile.new(model, grace: 0, create: true).find_unlinked
    drain
    assert_equal :agreed, other.reload.vidcache_decision.reason
    assert_equal({ "linked already": 2 }, Vidcache::Backfill.new(model, output: StringIO.new).run)
    user.destroy!
    assert_nil @cache.resolve("keyed-1/2")
    assert_equal 1, model.count
  end

  def teardown
    %i[Bare Keyed Deterministic Anew].each { |name| Object.send(:remove_const, name) if Object.const_defined?(name) }
    super
  end

  private

  def accounts(&more)
    ActiveRecord::Schema.define { create_table(:shaped_users, force: true) { |t| t.string(:email) && more&.call(t) } }
    [Account, Staff].each(&:reset_column_information)
  end

  def encrypted(deterministic)
    named(deterministic ? "Deterministic" : "Anew", "shaped_users") do
      encrypts :email, deterministic: deterministic
      has_vid prefix: "encrypted-#{deterministic}-", job: PortalJobs::Job
    end
  end

  def named(name, table, &body)
    Object.const_set(name, Class.new(ActiveRecord::Base) { self.table_name = table })
    Object.const_get(name).tap { |model| model.class_eval(&body) }
  end
end
