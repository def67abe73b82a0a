# frozen_string_literal: true

require_relative "helper"

# `has_vid vid:`: HubSpot's contact ids in a column of the app's own.
class Vidcache::VidColumnTest < Vidcache::RailsTest
  ActiveRecord::Schema.define do
    create_table(:members) do |t|
      t.string :email
      t.bigint :hubspot_vid, index: { unique: true }
    end
  end

  class Member < ActiveRecord::Base
    attr_accessor :saved

    has_vid prefix: "member-", vid: :hubspot_vid, job: "HubspotContactJob"
    after_save { self.saved = true }
  end

  def setup
    super
    Member.delete_all
  end

  def test_what_was_recorded_is_written_to_the_column_past_all_callbacks
    ann = Member.create!(email: "ann@shop.test")
    ann.saved = nil
    confirm(ann.vidcache_key, ann.email)
    assert_equal 901, ann.reload.hubspot_vid
    confirm(ann.vidcache_key, ann.email, vid: 902)
    assert_equal [902, nil], [ann.reload.hubspot_vid, ann.saved]
    confirm("member-0", "nobody@shop.test", vid: 903)
    confirm(ann.id, "someone@shop.test", vid: 904) # Another model's key.
    assert_equal 902, ann.reload.hubspot_vid
    assert_empty @reported
  end

  def test_where_the_file_knows_none_the_column_s_contact_is_linked_and_none_is_made
    ann = Member.create!(email: "ann@shop.test", hubspot_vid: 901)
    refute ann.hubspot_email_due?(nil), "the contact is there: HubSpot is to be read, not told"
    assert_equal 901, @cache.resolve(ann.vidcache_key)

    ann.update!(email: "ann@new.test")
    @cache.forget(ann.vidcache_key)
    token = @cache.begin_email_change(ann.vidcache_key)
    assert ann.hubspot_email_due?(token)
    assert_equal 901, @cache.resolve(ann.vidcache_key), "the job tells of the contact that the column names"
  end

  def test_a_backfill_takes_the_ids_of_the_column_without_being_told_and_has_the_others_looked_up
    ann, bob = %w[ann@shop.test bob@shop.test].map { |email| Member.create!(email: email) }
    ann.update_columns(hubspot_vid: 901)
    jobs.clear
    output = StringIO.new
    Vidcache::Backfill.new(Member, output: output).run
    assert_equal "vidcache: 2 of 2 users, 1 linked, 1 enqueued", output.string.lines.first.chomp
    assert_equal [901, nil], [ann, bob].map { |user| @cache.resolve(user.vidcache_key) }
    assert_equal [bob.to_global_id.to_s], jobs.map { |job| job["arguments"][0]["_aj_globalid"] }
  end

  def test_what_the_file_knows_stands_against_the_column
    ann = Member.create!(email: "ann@shop.test", hubspot_vid: 901)
    @cache.link(ann.vidcache_key, 902)
    refute ann.hubspot_email_due?(nil)
    assert_equal 902, @cache.resolve(ann.vidcache_key)
  end

  def test_a_contact_of_another_user_s_in_the_column_is_reported_and_none_is_made
    @cache.link(4711, 901)
    ann = Member.create!(email: "ann@shop.test", hubspot_vid: 901)
    refute ann.hubspot_email_due?(nil)
    assert_equal [Vidcache::VidTaken], @reported.map(&:class)
    assert_nil @cache.resolve(ann.vidcache_key)
  end

  def test_what_is_no_contact_id_counts_as_none
    [nil, 0, -5].each { |vid| assert_nil Member.new(hubspot_vid: vid).vidcache_known_vid }
    assert_equal 2**62, Member.new(hubspot_vid: 2**62).vidcache_known_vid
    assert_nil User.new.vidcache_known_vid
    texts = Class.new(Member) { attribute :hubspot_vid, :string }
    assert_equal([12, nil, nil, nil], ["12", "012", "1e3", "9" * 19].map { |text| texts.new(hubspot_vid: text).vidcache_known_vid })
  end

  def test_a_column_that_cannot_be_written_breaks_neither_the_job_nor_its_transaction
    Member.create!(email: "bob@shop.test", hubspot_vid: 901)
    ann = Member.create!(email: "ann@shop.test")
    Member.transaction do
      assert_equal 901, confirm(ann.vidcache_key, ann.email).vid
      ann.update!(email: "ann@new.test")
    end
    assert_equal [[nil, "ann@new.test"]], Member.where(id: ann.id).pluck(:hubspot_vid, :email)
    assert_equal 1, @reported.size
  end
end
