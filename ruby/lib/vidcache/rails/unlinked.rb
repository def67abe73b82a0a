# frozen_string_literal: true

require "vidcache/rails/contact_reader"
require "vidcache/rails/failure"
require "vidcache/rails/vid_column"

module Vidcache
  # Users who are linked to no contact, and whose own jobs are over or were lost. The contact that their column names is
  # linked. Of the others HubSpot is asked by their present emails, a hundred a call: whom it does not have costs a
  # hundredth of a call each time, and no state is kept of that. Whoever is found is linked, unless the contact is
  # another user's. Of those who are not found, they get the model's job for whom it may make a contact.
  #
  # Left out are users whose change is on its way, since its job looks for them by the email before, too; those whose
  # email HubSpot refused for good; and those whose contact was erased for privacy.
  #
  # @api private
  class Unlinked
    # Links a user to a contact that was found, in the column of the app's own too.
    #
    # @param model [Class] with `has_vid`
    # @param record [Vidcache::Model]
    # @param vid [Integer]
    # @param during [String] what is reported if the contact is another user's
    # @return [Boolean] false: it is
    def self.link(model, record, vid, during:)
      key = record.vidcache_key
      Vidcache.cache.link(key, vid)
      # A row that went meanwhile was forgotten before it was linked.
      return Vidcache.cache.forget(key) && false if model.vidcache_forget && model.find_vidcache_user(key).nil?

      VidColumn.write_back(key, vid)
      true
    rescue VidTaken => e
      Failure.report(e, during: during)
      false
    end

    # @param model [Class] with `has_vid`
    # @param reader [ContactReader]
    # @param create [Boolean] whether jobs make contacts for everybody who is not found
    def initialize(model, reader, create: false)
      @model = model
      @reader = reader
      @create = create
      @cache = Vidcache.cache
      @changing = @cache.stale_changes(older_than: 0, limit: Model::MAX_CHANGES).to_h { |change| [change.user_id, true] }
    end

    # @param users [Array<Vidcache::Model>] any number
    # @return [Integer] how many were linked, or got a job
    # @raise as {ContactReader#read}
    def find(users)
      wanted, done = users.select { |user| wanted?(user) }.partition { |user| @cache.resolve(user.vidcache_key).nil? }
      return done.size + wanted.each { |user| enqueue(user) }.size unless Vidcache.settings.access_token

      done.size + wanted.each_slice(ContactReader::BATCH).sum { |some| look_up(some) }
    end

    private

    # Links whom the app's own column knows.
    def wanted?(user)
      return false if user.vidcache_email.nil? || @changing.key?(user.vidcache_key.to_s) || @cache.refusal(user.vidcache_key)

      user.link_vidcache_known_vid
    end

    def look_up(users)
      found = @reader.read_by_email(users.map { |user| user.vidcache_email.downcase }.uniq)
      users.count do |user|
        # The row is read anew, since HubSpot was asked meanwhile.
        record = @model.find_vidcache_user(user.vidcache_key)
        next false unless record && record.vidcache_email == user.vidcache_email && unlinked?(record)

        vid = found[record.vidcache_email.downcase]
        vid ? self.class.link(@model, record, vid, during: TAKEN) : may_create?(record) && enqueue(record)
      end
    end

    TAKEN = "the contact that has a user's email is another user's"
    private_constant :TAKEN

    def unlinked?(record)
      @cache.resolve(record.vidcache_key).nil? && Change.outstanding(record.vidcache_key).empty?
    end

    def may_create?(record)
      @create || ContactJob::Creating.younger?(record, ContactJob::Creating::RECENT)
    end

    def enqueue(record)
      @model.enqueue_vidcache_job(record, nil, creates: @create)
      true
    end
  end
end
