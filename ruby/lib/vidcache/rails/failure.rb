# frozen_string_literal: true

require "active_support/notifications"

module Vidcache
  # A failure that the app goes on without: it is told to those who watch the app, and to nobody else.
  #
  # @api private
  module Failure
    # Tells `ActiveSupport::Notifications` ("failure.vidcache", with `error:` and `during:`), `Rails.error` where there is one,
    # and the log. Never raises, whatever the listeners do.
    #
    # @param error [Exception]
    # @param during [String] what failed, and what came of it
    # @return [void]
    def self.report(error, during:)
      attempt { ::Rails.logger&.error("vidcache: #{during}: #{describe(error)}") }
      attempt { ActiveSupport::Notifications.instrument("failure.vidcache", error: error, during: during) }
      attempt { ::Rails.error.report(error, handled: true, context: { vidcache: during }) if ::Rails.respond_to?(:error) }
      nil
    end

    # This library's own messages never hold personal data; those of others can: a NoMethodError inspects its receiver, with the
    # user's email and all. Of those only the class and the place are logged.
    def self.describe(error)
      return "#{error.class}: #{error.message}" if error.is_a?(Vidcache::Error)

      backtrace = error.backtrace || []
      [error.class, ::Rails.backtrace_cleaner.clean(backtrace).first || backtrace.first].compact.join(" at ")
    end
    private_class_method :describe

    def self.attempt
      yield
    rescue StandardError
      nil
    end
    private_class_method :attempt
  end
end
