# frozen_string_literal: true

require "vidcache/rails/contact_reader"
require "vidcache/rails/failure"
require "vidcache/rails/unlinked"

module Vidcache
  # Contacts that HubSpot says it does not have. Their people may have others: one that somebody deleted comes back
  # through a form, with a new id. So each user of such a contact is looked for by their email, and linked to the
  # contact that is found, unless it is another user's. No contact is made, and whoever is not found stays as they are.
  #
  # @api private
  class GoneContacts
    # Seconds between the two answers that must say so: the first may be of an index that lags.
    AGAIN = 5

    # @param model [Class] with `has_vid`
    # @param reader [ContactReader]
    def initialize(model, reader)
      @model = model
      @reader = reader
      @cache = Vidcache.cache
      @vids = []
      @heard_at = 0.0
    end

    # @param vids [Array<Integer>] that HubSpot has just said it does not have
    # @return [void]
    def add(vids)
      return if vids.empty?

      @vids |= vids
      @heard_at = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    # @return [Integer] how many users were linked anew
    # @raise as {ContactReader#read}
    def look_up
      return 0 if @vids.empty?

      wait = @heard_at + AGAIN - Process.clock_gettime(Process::CLOCK_MONOTONIC)
      sleep(wait) if wait.positive?
      gone = @vids.each_slice(ContactReader::BATCH).flat_map { |vids| vids - @reader.read(vids).keys }
      users = gone.lazy.flat_map { |vid| @cache.users_of(vid).map { |user| [user, vid] } }
      users.each_slice(ContactReader::BATCH).sum { |some| find(some) }
    end

    private

    def find(users)
      emails = users.filter_map { |user, vid| email_of(user, vid)&.last }.uniq
      return 0 if emails.empty?

      found = @reader.read_by_email(emails)
      users.count { |user, vid| link(user, vid, found) }
    end

    # The user's row is read anew, since HubSpot was asked meanwhile.
    def link(user, gone, found)
      record, email = email_of(user, gone)
      vid = found[email]
      return false if vid.nil? || vid == gone

      Unlinked.link(@model, record, vid, during: "a contact is gone, and the one that has the user's email is another user's")
    end

    # @return [Array(Vidcache::Model, String), nil] a user whose pages say less because their contact is gone, and their
    #   email; nil where a change is on its way: its job looks for them
    def email_of(user, gone)
      record = @model.find_vidcache_user(user)
      return unless record && @cache.resolve(user) == gone
      return unless record.vidcache_decision.reason == :email_unconfirmed

      [record, record.vidcache_email.downcase]
    end
  end
end
