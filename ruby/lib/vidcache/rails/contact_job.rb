# frozen_string_literal: true

require "active_job"
require "vidcache/rails/failure"

module Vidcache
  # Tells HubSpot of a user's email and records what HubSpot answers: the job that `has_vid` enqueues.
  #
  #     class HubspotContactJob < Vidcache::ContactJob
  #     end
  #
  # In an app whose own base class every job has to have, `include Vidcache::ContactJob::Work` does the same.
  #
  # Its queue has to be one that keeps jobs for later, so not Active Job's `:inline` ({JobQueue}). {HubspotApi} says how
  # it calls HubSpot, and what an app with a client of its own overrides.
  #
  # What it keeps, whatever they do:
  #
  # - HubSpot is told no sooner than a quiet period after the change began, even if the queue does not wait, and even if
  #   a process with a longer `page_deadline` has come since the job was enqueued;
  # - one job of a user at a time, by a {Lease}, each with the email as it is then. No lock of the app's database is
  #   held while HubSpot is asked;
  # - a job that is delivered twice, or whose change is no longer outstanding, tells HubSpot nothing;
  # - a job whose row is gone, and whose key another row may have, tells HubSpot nothing; nor does one of a user whose
  #   address may not be used yet (`has_vid if:`);
  # - what was saved while the file could not be used ({Unavailable}) is begun once it can, and the job is tried until
  #   then;
  # - a change that the file does not know, since the file was lost or is an old copy, is begun anew;
  # - a person has one contact. Before one is made for a change, theirs is looked for by the email before the change, by
  #   those that HubSpot was told in vain and by the present one, twice, some seconds apart; after a 404 by its id, too,
  #   which follows merges;
  # - a 409 is tried again, since the contact that holds the email may let it go. With the last try it ends the change:
  #   what the user's own contact holds is recorded. A new user is linked to the contact that holds their email. What
  #   HubSpot refuses for good ends the change at once. 429, and whatever else names a time, is tried again then;
  # - of a user whose contact was erased for privacy HubSpot is not told again: their changes end, with a report;
  # - where neither the file nor a look-up knows a person, who is one that HubSpot may have under an email that was lost
  #   with a file or a job, no contact is made ({Creating} says when one is) unless the app says so (`CREATE=1`). The
  #   change stays outstanding;
  # - whatever else goes wrong is tried {ATTEMPTS} times over some hours. A change whose job gives up stays outstanding,
  #   and its pages give the id alone, until `retry_email_changes` (hourly, see {Model}) makes another job.
  class ContactJob < ActiveJob::Base
    # How often a job is tried. Its changes are found again after that.
    ATTEMPTS = 10

    # Seconds: 3, 18, 83, 258 and so on.
    LONGER = ->(executions) { ([executions, 1].max**4) + 2 }
    # How often a job may be run before its time: a queue that waits does so once or twice.
    EARLY_RUNS = 20
    private_constant :LONGER, :EARLY_RUNS

    class << self
      # @param waits [Boolean] false, for tests alone: HubSpot is told at once ({Testing})
      # @api private
      attr_writer :waits

      # @return [Boolean]
      # @api private
      def waits?
        @waits != false
      end
    end

    # The job's row is gone. It ends then, and says nothing.
    # @api private
    class RowGone < StandardError; end

    # The job has to wait for another one of the user's, and told HubSpot nothing.
    class NotYet < Error
      # Not one of the core's codes.
      CODE = :not_yet
    end
  end
end

require "vidcache/rails/contact_job/creating"
require "vidcache/rails/contact_job/hubspot_api"
require "vidcache/rails/contact_job/lease"
require "vidcache/rails/contact_job/memory"
require "vidcache/rails/contact_job/telling"
require "vidcache/rails/contact_job/work"

module Vidcache
  class ContactJob
    include Work
  end
end
