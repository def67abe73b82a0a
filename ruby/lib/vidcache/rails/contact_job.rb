# frozen_string_literal: true

require "active_job"
require "vidcache/rails/failure"

module Vidcache
  # Tells HubSpot of a user's email and records what HubSpot answers: the job that `has_vid` enqueues.
  #
  #     class HubspotContactJob < Vidcache::ContactJob
  #     end
  #
  # Its queue has to be one that can wait, so not Active Job's `:inline`. {HubspotApi} says how it calls HubSpot, and what an app with
  # a client of its own overrides.
  #
  # What it keeps, whatever they do:
  #
  # - HubSpot is told no sooner than a quiet period after the change began, even if the queue does not wait, and even if
  #   a process with a longer `page_deadline` has come since the job was enqueued;
  # - one job of a user at a time, by a {Lease}, each with the email as it is then. No lock of the app's database is held while HubSpot
  #   is asked;
  # - a job that is delivered twice, or whose change is no longer outstanding, tells HubSpot nothing;
  # - a job whose row is gone, and whose key another row may have, tells HubSpot nothing; nor does one of a user whose address may not be
  #   used yet (`has_vid if:`);
  # - a change that the file does not know, since the file was lost or is an old copy, is begun anew;
  # - a person has one contact. Before one is made for a change, theirs is looked for by the email before the change, by those that
  #   HubSpot was told in vain and by the present one, twice, some seconds apart; after a 404 by its id, too, which follows merges;
  # - a 409 is tried again, since the contact that holds the email may let it go. With the last try it ends the change: what the user's
  #   own contact holds is recorded. A new user is linked to the contact that holds their email. What HubSpot refuses for good ends the
  #   change at once. 429, and whatever else names a time, is tried again then;
  # - of a user whose contact was erased for privacy HubSpot is not told again: their changes end, with a report;
  # - where neither the file nor a look-up knows a person, who is one that HubSpot may have under an email that was lost with a file or a
  #   job, no contact is made ({Creating} says when one is) unless the app says so (`CREATE=1`). The change stays outstanding;
  # - whatever else goes wrong is tried {ATTEMPTS} times over some hours. A change whose job gives up stays outstanding, and its pages
  #   give the id alone, until `retry_email_changes` (hourly, see {Model}) makes another job.
  class ContactJob < ActiveJob::Base
    # How often a job is tried. Its changes are found again after that.
    ATTEMPTS = 10

    # Seconds: 3, 18, 83, 258 and so on.
    LONGER = ->(executions) { ([executions, 1].max**4) + 2 }
    private_constant :LONGER

    # The job's row is gone. It ends then, and says nothing.
    # @api private
    class RowGone < StandardError; end

    # The job has to wait for another one of the user's, and told HubSpot nothing.
    class NotYet < Error
      # @return [Symbol] not one of the core's codes
      def code
        :not_yet
      end

      # @return [nil]
      def code_number
        nil
      end
    end
  end
end

require "vidcache/rails/contact_job/creating"
require "vidcache/rails/contact_job/hubspot_api"
require "vidcache/rails/contact_job/lease"
require "vidcache/rails/contact_job/memory"
require "vidcache/rails/contact_job/telling"

module Vidcache
  class ContactJob # rubocop:disable Style/Documentation
    include HubspotApi
    include Creating
    include Telling

    rescue_from(StandardError) { |error| vidcache_later(error) }
    rescue_from(ActiveJob::DeserializationError) do |error|
      # If the user is gone, so is every page about them. If the database is, they may not be.
      vidcache_later(error) unless error.cause.is_a?(::ActiveRecord::RecordNotFound)
    end

    # @param user [Vidcache::Model]
    # @param change [Integer, nil] the token of the change that this job is for, nil for a user whom HubSpot is not known to have
    # @return [void]
    def perform(user, change = nil)
      early = nil
      exclusively(user) do
        next unless vidcache_its?(user, change)

        @vidcache_change = vidcache_change_in_file(user, change)
        next if vidcache_adopt(user) == false && @vidcache_change.nil?
        next vidcache_end_of_erased(user) unless user.vidcache_untold?(@vidcache_change)
        next if (early = vidcache_early(user, @vidcache_change))

        vidcache_tell(user, @vidcache_change)
      end
      vidcache_wait(early) if early
    rescue RowGone
      nil
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

    # @return [Hash] with what the job keeps, encrypted, and when its row was made
    # @api private
    def serialize
      @vidcache_sealed = vidcache_sealed if @vidcache_memory
      @vidcache_row_at ||= vidcache_row_at(arguments.first)
      super.merge({ "vidcache" => @vidcache_sealed, "vidcache_row_at" => @vidcache_row_at }.compact)
    end

    # @api private
    def deserialize(job_data)
      super
      @vidcache_sealed = job_data["vidcache"]
      @vidcache_row_at = job_data["vidcache_row_at"]
    end

    private

    # To be overridden where the app has a way of its own. Runs the block with the user's other jobs locked out, of all processes that use
    # the file, and with the user as they are in the database now; or has the job tried again.
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

    # The change that the job is for. Where the file does not know it (it was lost, moved aside, or is an old copy) one of the job's own,
    # from whose beginning on it waits as long as any process could ask it to: what the file said of that was lost, too.
    def vidcache_change_in_file(user, change)
      Vidcache.cache.change_outstanding?(user.vidcache_key, change) unless change.nil?
      change
    rescue UnknownChange => e
      own = Vidcache.cache.begin_email_change(user.vidcache_key)
      memory = vidcache_memory(user)
      memory.not_before = Time.now.to_f + Settings::LONGEST
      memory.creates ||= false
      self.arguments = [user, own]
      Failure.report(e, during: "a job began a change of its own: the one that it was for is not in this file")
      own
    end

    # Whether the job is this row's, and the address may be used (`has_vid if:`). A key may be handed out again: what the job remembers
    # is then the former person's email. The change of one who was forgotten is nobody's, and a job without a change knows when its row
    # was made.
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
      user.created_at&.to_f if user.respond_to?(:created_at)
    end

    # @return [Float, nil] seconds that are left of the change's quiet period, by what the file says now
    def vidcache_early(user, change)
      return if change.nil?

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

    # Not a try: nothing went wrong.
    def vidcache_wait(seconds)
      self.executions -= 1
      retry_job(wait: seconds)
    end

    def vidcache_later(error)
      raise error if vidcache_last_try?

      retry_job(wait: (error.retry_after if error.is_a?(RateLimited)) || LONGER.call(executions), error: error)
    end

    def vidcache_last_try?
      executions >= ATTEMPTS
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
