# frozen_string_literal: true

require "active_support/log_subscriber"
require "active_support/notifications"

module Vidcache
  # What happens, for those who watch the app, through `ActiveSupport::Notifications`:
  #
  # | event | payload | when |
  # | --- | --- | --- |
  # | `decision.vidcache` | `user_id`, `reason` | a page did not name its user's email |
  # | `resolve_miss.vidcache` | `user_id` | a page was rendered for a user who is linked to no contact |
  # | `record.vidcache` | `user_id`, `vid`, `email_observed`, `change` | an answer of HubSpot's was recorded |
  # | `conflict.vidcache` | `user_id`, `vid`, `code` | the contact is another user's, or another contact holds the email |
  # | `key_reused.vidcache` | `user_id` | a new row has the key of a user whom the file knew, who is forgotten ({Forgetting}) |
  # | `webhook.vidcache` | `applied`, `repeated`, `ignored` | a webhook's events were taken in |
  # | `refused_webhook.vidcache` | `status`, `code` | a webhook was refused: each time, where the log has one an hour |
  # | `reconcile.vidcache` | `read`, `calls`, `changes`, `users`, `conflicts`, `unlinked` | a reconcile of a model's users is done |
  # | `web.vidcache` | `action`, `user_id`, `allowed`, `why` | a button of {Web} was pressed, or somebody was refused |
  # | `failure.vidcache` | `error`, `during` | the app went on without vidcache |
  #
  # No payload holds an email.
  module Instrumentation
    # What `Cache#record` does besides, in a Rails app.
    # @api private
    module Recording
      # @see Cache#record
      def record(user_id, answer, change: nil, asked_at: nil)
        super.tap do |recorded|
          ActiveSupport::Notifications.instrument("record.vidcache", user_id: user_id, vid: recorded.vid, change: change,
                                                                     email_observed: recorded.email_observed?)
        end
      rescue VidTaken, ContactConflict => e
        ActiveSupport::Notifications.instrument("conflict.vidcache", user_id: user_id, vid: e.vid, code: e.code)
        raise
      end
    end

    # Of a page: counted, and told of if it did not name its user's email.
    # @api private
    def self.page(user_id, reason)
      Pulse.page(reason)
      return if reason == :agreed

      ActiveSupport::Notifications.instrument("decision.vidcache", user_id: user_id, reason: reason)
      ActiveSupport::Notifications.instrument("resolve_miss.vidcache", user_id: user_id) if reason == :not_linked
    end

    # Lines for the log, without a user's key or email: how often, not who. Failures are logged by themselves.
    class LogSubscriber < ActiveSupport::LogSubscriber
      # @!visibility private
      def record(event)
        said = event.payload[:email_observed] ? "its email" : "no email"
        debug { "vidcache: recorded a contact and #{said}#{" and finished a change" if event.payload[:change]}" }
      end

      # @!visibility private
      def conflict(event)
        info { "vidcache: nothing was recorded: #{event.payload[:code]}" }
      end
    end

    # A line for every page that named no email. Attached only where the log takes it (`debug`), or all pages would pay
    # for nothing.
    class PageLogSubscriber < ActiveSupport::LogSubscriber
      # @!visibility private
      def decision(event)
        debug { "vidcache: a page named no email: #{event.payload[:reason]}" }
      end
    end
  end
end
