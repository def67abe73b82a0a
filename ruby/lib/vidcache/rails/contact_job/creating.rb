# frozen_string_literal: true

module Vidcache
  class ContactJob < ActiveJob::Base
    # When a job may make a contact. Somebody whom no look-up finds may be known to HubSpot under an email that went
    # with a lost file or a lost job, or may have been erased. So one is made
    #
    # - for a sign-up, by its own job; after the file was lost only as long as the email is the one that they signed up
    #   with, since a queue may hand out a job again that has made a contact before;
    # - for a change, by its own job (the one that knows the email before), if the file knows the user's contact, which
    #   is gone, or if the row is younger than the file: then nothing that was known of the user went with another file;
    # - for a user whose sign-up's job was lost, if the row is younger than the file and than {RECENT}, and no change is
    #   outstanding.
    #
    # For everybody else the app has to say so. For whom HubSpot erased the contact for privacy none is made whatever it
    # says: the app forgets them first (`Vidcache.cache.forget`, `rails vidcache:forget`), or links them. See
    # {Model#vidcache_untold?}.
    #
    # @api private
    module Creating
      # Seconds. Whoever signed up earlier and has no contact is none whose job was lost a moment ago.
      RECENT = 7 * 86_400

      NOBODY = "HubSpot has nobody of the emails that are known, and may have the user under another one: no contact was made, and the " \
               "change stays outstanding. `rails vidcache:reconcile CREATE=1` makes contacts for all such users"
      private_constant :NOBODY

      # The try with which a job waits for those of other changes no more: minutes after its first.
      PATIENCE = 5
      private_constant :PATIENCE

      # Whether the row was made after the file was. Rows without a `created_at` never were, nor was any where the file
      # system does not say when a file was made.
      #
      # @param user [Vidcache::Model]
      # @param recent [Numeric, nil] seconds: and not longer ago than that
      def self.younger?(user, recent = nil)
        made_at = user.vidcache_made_at&.to_f
        born_at = Vidcache.settings.born_at
        return false unless made_at && born_at && made_at >= born_at.to_f

        recent.nil? || made_at > Time.now.to_f - recent
      end

      private

      # @param linked [Boolean] whether the file knows a contact of the user
      def vidcache_may_create?(user, change, linked)
        memory = vidcache_memory(user)
        case memory.creates
        when true then true
        when nil then linked || Creating.younger?(user) || (change.nil? && [nil, user.vidcache_email].include?(memory.signed_up_as))
        else
          change.nil? && user.vidcache_known_vid.nil? && Creating.younger?(user, RECENT) && Change.outstanding(user.vidcache_key).empty?
        end
      end

      # Nobody was found, and that counts the second time only, some seconds later.
      def vidcache_create_after_all(user, change, linked: false)
        email = user.vidcache_email
        creates = vidcache_may_create?(user, change, linked)
        if creates && email.nil?
          vidcache_abandon(user, change)
          return
        end
        unless vidcache_memory(user).none_found?
          vidcache_memory(user).none_found!
          raise ContactMissing, "HubSpot has no such contact"
        end
        creates ? vidcache_create(user, email, change) : vidcache_leave_it
      end

      def vidcache_leave_it
        Failure.report_seldom(ContactMissing.new("HubSpot has no such contact"), during: NOBODY)
      end

      def vidcache_create(user, email, change)
        return vidcache_leave_it unless vidcache_others_went_first?(user, change)

        # If the answer is lost, and the email another one by the next try, this is how HubSpot knows the user.
        vidcache_memory(user).add(email)
        answer = vidcache_write { create(email) }
        vidcache_record(user, answer, change)
      rescue ContactConflict, AnswerWithoutId
        # HubSpot knows this person already, from a form or a newsletter; or does not say which contact it has made.
        answer = vidcache_look_up { read_by_email(email) } or raise
        vidcache_record(user, answer, change)
      end

      # Each change's job knows another email that HubSpot may have for the user, so those of other changes go first; if
      # none of them finds anybody either, the oldest one's makes the contact.
      def vidcache_others_went_first?(user, change)
        changes = Change.outstanding(user.vidcache_key)
        others = changes.reject { |other| other["token"] == change }
        return true if others.empty?

        oldest = changes.min_by { |other| [other["begun_at"].to_i, other["token"]] }
        return true if oldest["token"] == change && executions >= PATIENCE

        raise NotYet, "another change of the user goes first" unless vidcache_last_try?
        false
      end
    end
  end
end
