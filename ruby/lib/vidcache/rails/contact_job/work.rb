# frozen_string_literal: true

require "active_support/concern"

module Vidcache
  class ContactJob < ActiveJob::Base
    # All that the job does, as a module: for an app whose `ApplicationJob` carries what each of its jobs has to have
    # (tenants, reporting, a queue).
    #
    #     class HubspotContactJob < ApplicationJob
    #       include Vidcache::ContactJob::Work
    #     end
    #
    # The errors of a try are this module's: `retry_on` and `rescue_from` of the app's own class are asked for none of
    # them.
    module Work
      extend ActiveSupport::Concern
      include HubspotApi
      include Creating
      include Telling

      included do
        rescue_from(StandardError) { |error| vidcache_later(error) }
        rescue_from(ActiveJob::DeserializationError) do |error|
          # If the user is gone, so is every page about them. If the database is, they may not be.
          vidcache_later(error) unless error.cause.is_a?(::ActiveRecord::RecordNotFound)
        end
      end

      # @param user [Vidcache::Model]
      # @param change [Integer, nil] the token of the change that this job is for, nil for a user whom HubSpot is not
      #   known to have
      # @return [void]
      def perform(user, change = nil)
        return vidcache_perform(user, change) unless user.class.vidcache_portal_method

        # The one that the change was begun in, wherever the user is by now.
        portal = @vidcache_portal || user.vidcache_portal
        Vidcache.in_portal(portal) { vidcache_perform(user, change) } if portal
      end

      # @param email [String, nil] under which HubSpot may know the user besides the present one
      # @param creates [Boolean, nil] {Memory#creates}
      # @param signed_up_as [String, nil]
      # @return [void]
      # @api private
      def vidcache_remember(user, email, creates: nil, signed_up_as: nil)
        memory = vidcache_memory(user)
        memory.add(email)
        memory.signed_up_as ||= signed_up_as
        memory.creates = creates unless creates.nil?
      end

      # @param change [Boolean] whether a change is to be begun
      # @param row_of [Float, nil] when the row was made, if it is to be found out whose its key was
      # @return [void]
      # @api private
      def vidcache_make_up_for(user, change:, row_of:)
        memory = vidcache_memory(user)
        memory.unbegun = change
        memory.row_of = row_of
      end

      # @return [Hash] with what the job keeps, encrypted, and when its row was made
      # @api private
      def serialize
        @vidcache_sealed = vidcache_sealed if @vidcache_memory
        @vidcache_row_at ||= vidcache_row_at(arguments.first)
        @vidcache_portal ||= Portals.current || nil
        super.merge({ "vidcache" => @vidcache_sealed, "vidcache_row_at" => @vidcache_row_at,
                      "vidcache_early_runs" => @vidcache_early_runs, "vidcache_portal" => @vidcache_portal }.compact)
      end

      # @api private
      def deserialize(job_data)
        super
        @vidcache_sealed = job_data["vidcache"]
        @vidcache_row_at = job_data["vidcache_row_at"]
        @vidcache_early_runs = job_data["vidcache_early_runs"]
        @vidcache_portal = job_data["vidcache_portal"]
      end

      private

      def vidcache_perform(user, change)
        early = nil
        exclusively(user) do
          next vidcache_end_where_they_were(user, change) unless user.vidcache_in_portal?

          vidcache_forget_former(user)
          next unless vidcache_its?(user, change)

          @vidcache_change = vidcache_change_in_file(user, change)
          next if vidcache_adopt(user) == false && @vidcache_change.nil?
          next vidcache_end_of_erased(user) unless user.vidcache_untold?(@vidcache_change)
          next if (early = vidcache_early(user, @vidcache_change))

          vidcache_tell(user, @vidcache_change)
          Explanation::Traces.job(user.vidcache_key, nil)
        end
        return unless early

        @vidcache_early_runs = @vidcache_early_runs.to_i + 1
        vidcache_wait(early)
      rescue RowGone
        nil
      end

      # Of a user who is in another portal by now: HubSpot is told in that one, by the job of the change of the portal.
      def vidcache_end_where_they_were(user, change)
        Vidcache.cache.abandon_email_change(user.vidcache_key, change) if change && Vidcache.cache.change_outstanding?(user.vidcache_key, change)
      rescue UnknownChange, ForeignChange
        nil
      end

      # To be overridden where several rows of the app are one person: whether this user shares a contact that is
      # another user's already. Then a change of either's email keeps both from being named until it has ended. Without
      # it the second is a conflict.
      #
      # @param _user [Vidcache::Model]
      # @param _vid [Integer] the contact; {Cache#users_of} says whose it is
      # @return [Boolean]
      def share_contact?(_user, _vid)
        false
      end

      # To be overridden where the app has a way of its own. Runs the block with the user's other jobs locked out, of
      # all processes that use the file, and with the user as they are in the database now; or has the job tried again.
      def exclusively(user)
        @vidcache_lease = Lease.take(user.vidcache_key)
        return vidcache_wait(Lease::AGAIN) unless @vidcache_lease

        yield if vidcache_there?(user)
      ensure
        @vidcache_lease&.release
      end

      def vidcache_there?(user)
        user.reload
        true
      rescue ::ActiveRecord::RecordNotFound
        false
      end

      # Whether the row that the job has is there, and no other one has its key.
      def vidcache_still_there?(user)
        model = user.class
        row = model.uncached { model.unscoped { model.find(user.id) } }
        !vidcache_another_row?(vidcache_row_at(row), vidcache_row_at(user))
      rescue ::ActiveRecord::RecordNotFound
        false
      end

      # The change that the job is for. Where the file does not know it (it was lost, moved aside, or is an old copy)
      # one of the job's own, from whose beginning on it waits as long as any process could ask it to: what the file
      # said of that was lost, too.
      def vidcache_change_in_file(user, change)
        return vidcache_memory(user).unbegun ? vidcache_begin(user) : nil if change.nil?

        Vidcache.cache.change_outstanding?(user.vidcache_key, change)
        change
      rescue UnknownChange => e
        vidcache_begin(user).tap do
          vidcache_memory(user).creates ||= false
          Failure.report(e, during: "a job began a change of its own: the one that it was for is not in this file")
        end
      end

      def vidcache_begin(user)
        own = Vidcache.cache.begin_email_change(user.vidcache_key)
        memory = vidcache_memory(user)
        memory.not_before = Time.now.to_f + Settings::LONGEST
        memory.unbegun = false
        self.executions = 1
        self.arguments = [user, own]
        own
      end

      # Once, for a row that was made while the file could not be asked whose its key was.
      def vidcache_forget_former(user)
        memory = vidcache_memory(user)
        return unless memory.row_of

        Forgetting.make_up_for(user.vidcache_key, memory.row_of)
        memory.row_of = nil
        self.executions = 1
      end

      # Whether the job is this row's, and the address may be used (`has_vid if:`). A key may be handed out again: what
      # the job remembers is then the former person's email. The change of one who was forgotten is nobody's, and a job
      # without a change knows when its row was made.
      def vidcache_its?(user, change)
        if vidcache_another_row?(@vidcache_row_at, vidcache_row_at(user))
          Failure.report(ForeignChange.new("the row that the job was for is gone"), during: "a job did nothing: its user's key is another row's now")
          return false
        end
        Vidcache.cache.change_outstanding?(user.vidcache_key, change) if change
        user.vidcache_usable?
      rescue UnknownChange
        user.vidcache_usable?
      rescue ForeignChange => e
        Failure.report(e, during: "a job did nothing: its change is another user's, or of one who was forgotten")
        false
      end

      # Seconds by which databases round a time.
      ROUNDED = 2
      private_constant :ROUNDED

      def vidcache_another_row?(made_at, other)
        !made_at.nil? && !other.nil? && (made_at - other).abs > ROUNDED
      end

      # @return [Float, nil] seconds since 1970; nil where the model keeps no time
      def vidcache_row_at(user)
        user.vidcache_made_at&.to_f if user.respond_to?(:vidcache_made_at)
      end

      # @return [Float, nil] seconds that are left of the change's quiet period, by what the file says now
      def vidcache_early(user, change)
        return if change.nil? || !ContactJob.waits?

        begun = Vidcache.cache.change_outstanding_since(user.vidcache_key, change) || Time.now
        left = [begun.to_f + Vidcache.settings.quiet_period, vidcache_memory(user).not_before.to_f].max - Time.now.to_f
        left if left.positive?
      end

      # A change of a user whose contact was erased for privacy ends: no contact is made for them, and they have none.
      def vidcache_end_of_erased(user)
        return unless @vidcache_change && Vidcache.cache.change_outstanding?(user.vidcache_key, @vidcache_change)

        vidcache_abandon(user, @vidcache_change, Refused.new("the user's contact was erased for privacy"), ERASED)
      end

      ERASED = "a change ended, and HubSpot was not told: `rails vidcache:forget USER_ID=` lets the app make the user a contact again"
      private_constant :ERASED

      # Not a try: nothing went wrong. Of a queue that runs at once what is to wait (tests that perform their jobs) the
      # job ends: its change stays outstanding, and `retry_email_changes` makes another.
      def vidcache_wait(seconds)
        waiting = Thread.current[:vidcache_waiting] ||= []
        return vidcache_ends_early if waiting.include?(job_id) || @vidcache_early_runs.to_i > EARLY_RUNS

        self.executions -= 1
        begin
          waiting.push(job_id)
          retry_job(wait: seconds)
        rescue NotImplementedError
          vidcache_ends_early
        ensure
          waiting.delete(job_id)
        end
      end

      def vidcache_ends_early
        Failure.report_seldom(NotYet.new("the queue does not wait"), during: "a job ended too early, so a change stays outstanding")
      end

      def vidcache_later(error)
        Explanation::Traces.job(arguments.first.vidcache_key, Failure.without_email(error)) if arguments.first.respond_to?(:vidcache_key)
        return retry_job(wait: [LONGER.call(executions), 600].min, error: error) if Unavailable.of_the_file?(error) && vidcache_makes_up?
        raise error if vidcache_last_try?

        retry_job(wait: (error.retry_after if error.is_a?(RateLimited)) || LONGER.call(executions), error: error)
      rescue NotImplementedError # A queue that has no job for later keeps it among its failures, and a reconcile finds it.
        raise error
      end

      def vidcache_last_try?
        executions >= ATTEMPTS
      end

      # Whether nobody but this job knows of what was saved.
      def vidcache_makes_up?
        memory = vidcache_memory(arguments.first)
        memory.unbegun || !memory.row_of.nil?
      end

      def vidcache_memory(user)
        @vidcache_memory ||= Memory.open(@vidcache_sealed, user.vidcache_key)
      end

      # A job that cannot keep what it knows goes on without.
      def vidcache_sealed
        @vidcache_memory.seal(arguments.first.vidcache_key)
      rescue StandardError => e
        Failure.report(e, during: "a job does not keep the email before the change")
        nil
      end
    end
  end
end
