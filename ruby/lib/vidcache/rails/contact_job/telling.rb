# frozen_string_literal: true

require "json"

module Vidcache
  class ContactJob < ActiveJob::Base
    # What the job does with HubSpot's answers, so that a person has one contact whatever they are. Expects the user's
    # other jobs locked out, and the change's quiet period over.
    #
    # @api private
    module Telling
      private

      # Tells HubSpot of the email and records its answer, which finishes the change.
      def vidcache_tell(user, change)
        return vidcache_introduce(user) if change.nil?

        vid = Vidcache.cache.resolve(user.vidcache_key) || vidcache_find(user)
        vid ? vidcache_update(user, vid, change) : vidcache_create_after_all(user, change)
      rescue VidTaken => e
        # Two users of the app, one contact at HubSpot. The other one may let it go.
        raise if change && !vidcache_last_try?
        vidcache_abandon(user, change, e, "a job recorded nothing: the contact is another user's")
      rescue Error => e
        raise unless e.code == :refused
        vidcache_end(user, change, e, "HubSpot refuses the email for good: pages give the id alone until it is another one")
      end

      # A user without a contact, and without a change: nothing may be told of a person whom HubSpot knows, so their
      # contact is only read.
      def vidcache_introduce(user)
        return if vidcache_find(user)

        email = user.vidcache_email
        vidcache_create(user, email, nil) if email && vidcache_may_create?(user, nil, false)
      end

      def vidcache_update(user, vid, change, missed: nil)
        answer = vidcache_write { update(vid, user.vidcache_email) }
        vidcache_record(user, answer, change, vid)
      rescue VidTaken => e
        raise if e.vid == vid
        # Another user has the id that HubSpot answered with. If somebody merged the two contacts, a read by the user's
        # own id tells.
        vidcache_read_again(user, change, vid)
      rescue ContactMissing => e
        # A 404 may pass. It is asked for in every other way before anything is made of it.
        raise if missed
        living = vidcache_follow(user, vid) || vidcache_find(user)
        raise if living == vid
        living ? vidcache_update(user, living, change, missed: e) : vidcache_create_after_all(user, change, linked: true)
      rescue ContactConflict => e
        vidcache_settle(user, vid, change, e)
      end

      # Another contact holds the email. Somebody may have merged the two; or the other may let the email go later.
      def vidcache_settle(user, vid, change, conflict)
        answer = vidcache_answer { read(vid) }
        held = vidcache_holds(answer, user.vidcache_email)
        raise conflict unless held || vidcache_last_try?

        vidcache_record(user, answer, change, vid)
        outcome = "another contact holds the email: pages give the id alone until somebody merges the two at HubSpot"
        Failure.report(conflict, during: outcome) unless held
      end

      # Which id lives for one that HubSpot does not have: reading follows merges.
      #
      # @return [Integer, nil] nil: none
      def vidcache_follow(user, vid)
        vidcache_learn(user, vidcache_answer { read(vid) }).vid
      rescue ContactMissing
        nil
      end

      # Links a user whom the file does not know to the contact that the app says is theirs, by reading it.
      #
      # @return [false, Object] false: the contact is another user's, and the app's word stands against making one
      def vidcache_adopt(user)
        known = user.vidcache_known_vid
        return unless known && user.vidcache_email && Vidcache.cache.resolve(user.vidcache_key).nil?

        answer = vidcache_look_up { read(known) }
        vidcache_learn(user, answer) if answer
      rescue VidTaken => e
        Failure.report(e, during: "a job did not link a user to the contact that the app says is theirs: it is another user's")
        false
      end

      # Looks for the user's contact by their emails, and links them to it.
      #
      # @return [Integer, nil] nil: HubSpot knows nobody of that
      # @raise [VidTaken] the contact with the user's present email is another user's
      def vidcache_find(user)
        vidcache_emails(user).each do |email|
          answer = vidcache_look_up { read_by_email(email) } or next
          return vidcache_learn(user, answer).vid
        rescue VidTaken
          raise if email == user.vidcache_email
        end
        nil
      end

      # A new user's present email is not looked for by their own job: HubSpot says itself if somebody holds it.
      def vidcache_emails(user)
        memory = vidcache_memory(user)
        (@vidcache_change || !memory.creates.nil? ? [*memory.formerly, user.vidcache_email] : memory.formerly).compact.uniq
      end

      # Asks without saying of whom: that it finds nobody says nothing of the user's own contact. Nobody has an email
      # that is refused.
      #
      # @return [Object, nil] HubSpot's answer; nil: it has none
      def vidcache_look_up(&call)
        answer = vidcache_answer(&call) or return
        Vidcache.cache.observe(answer, asked_at: @vidcache_asked_at)
        answer
      rescue Error => e
        raise unless e.is_a?(ContactMissing) || e.code == :refused
      end

      # Ends a change of which HubSpot will not hear: what it holds is read. The core ends it by itself; then the read
      # may fail.
      def vidcache_end(user, change, error, outcome)
        vid = Vidcache.cache.resolve(user.vidcache_key)
        return vidcache_abandon(user, change, error, outcome) unless vid && change

        begin
          vidcache_record(user, vidcache_answer { read(vid) }, change, vid)
        rescue StandardError
          raise if Vidcache.cache.change_outstanding?(user.vidcache_key, change)
        end
        Failure.report(error, during: outcome)
      end

      def vidcache_abandon(user, change, error = nil, outcome = nil)
        Vidcache.cache.abandon_email_change(user.vidcache_key, change) if change
        Failure.report(error, during: outcome) if error
      end

      # What HubSpot refused is raised by {Cache#record}, whether the client returned it or raised it. An answer that
      # does not say which email the contact holds, and since when, is followed by reading it.
      def vidcache_record(user, answer, change, vid = nil)
        recorded = vidcache_learn(user, answer, change)
        vidcache_read_again(user, change, recorded.vid) unless recorded.email_observed?
      rescue AnswerWithoutId, AnswerWithoutEmail => e
        vid ||= Vidcache.cache.observe(answer).contacts.first or raise e
        vidcache_read_again(user, change, vid)
      end

      # The app's own way of reading, and the library's where that tells no more.
      def vidcache_read_again(user, change, vid)
        recorded = begin
          vidcache_record_read(user, change, vidcache_answer { read(vid) })
        rescue AnswerWithoutEmail, VidTaken
          raise unless Vidcache.settings.access_token && method(:read).owner != HubspotApi
        end
        return if recorded&.email_observed? || !Vidcache.settings.access_token

        vidcache_record_read(user, change, vidcache_answer { HubspotApi.instance_method(:read).bind_call(self, vid) })
      end

      # Whether HubSpot carried out what it said too little of, its email tells. If not, it is told again.
      def vidcache_record_read(user, change, answer)
        if change && !vidcache_last_try? && vidcache_holds(answer, user.vidcache_email) == false
          vidcache_learn(user, answer)
          raise NotYet, "HubSpot was told of the email and does not hold it"
        end
        vidcache_learn(user, answer, change)
      end

      # Whether they are one email, as far as one can see: what an email is, and which are one, the core knows. A wrong
      # no costs tries.
      #
      # @return [Boolean, nil] nil: the answer does not say
      def vidcache_holds(answer, email)
        properties = JSON.parse(Answer.read(answer) { |json| json })["properties"]
        return unless properties.is_a?(Hash) && properties.key?("email")

        held = properties["email"]
        held = held["value"] if held.is_a?(Hash)
        held.to_s.strip.casecmp?(email.to_s.strip)
      rescue JSON::ParserError, NoMethodError, TypeError
        nil
      end

      # The row may have gone while HubSpot was asked, and what was known of its key with it: a link that is recorded
      # afterwards would keep the contact from whoever signs up with that email. A row that goes while this is recorded
      # is forgotten here, or else by its own callbacks, which come later.
      #
      # @return [Recorded]
      # @raise [RowGone]
      def vidcache_learn(user, answer, change = nil)
        raise RowGone unless vidcache_still_there?(user)

        recorded = vidcache_share(user) { Vidcache.cache.record(user.vidcache_key, answer, change: change, asked_at: @vidcache_asked_at) }
        return recorded if vidcache_still_there?(user)

        Vidcache.cache.forget(user.vidcache_key) if user.class.vidcache_forget
        raise RowGone
      end

      # Again, where the contact is another user's and the app says that the two share it. Pages of the other one may
      # name its email still, so HubSpot is told of a change only after another quiet period.
      def vidcache_share(user)
        yield
      rescue VidTaken => e
        raise unless share_contact?(user, e.vid)

        Vidcache.cache.link_shared(user.vidcache_key, e.vid)
        raise NotYet, "the contact is another user's too from now on" if @vidcache_change

        yield
      end

      def vidcache_write(&call)
        vidcache_answer { @vidcache_lease ? @vidcache_lease.during(&call) : yield }
      end

      # @return [Object] what a client returns, or makes of an error of HubSpot's, which is an answer too
      def vidcache_answer
        @vidcache_asked_at = Time.now
        answer = begin
          yield
        rescue Error
          raise
        rescue StandardError => e
          answered = Answer.carried_by?(e)
          e
        end
        raise Failure.without_email(answer) if answered == false

        answer
      end
    end
  end
end
