# frozen_string_literal: true

require "active_support/notifications"

module Vidcache
  # An error of another library's, in whose message is an email: what is reported in its place.
  class Withheld < Error
    # Not one of the core's codes.
    CODE = :withheld
  end

  # A failure that the app goes on without: it is told to those who watch the app, and to nobody else.
  #
  # @api private
  module Failure
    # Tells `ActiveSupport::Notifications` ("failure.vidcache", with `error:` and `during:`), `Rails.error` where there
    # is one, and the log. Never raises, whatever the listeners do.
    #
    # @param error [Exception]
    # @param during [String] what failed, and what came of it
    # @return [void]
    def self.report(error, during:)
      told = without_email(error)
      attempt { ::Rails.logger&.error("vidcache: #{during}: #{describe(error)}") }
      attempt { ActiveSupport::Notifications.instrument("failure.vidcache", error: told, during: during) }
      attempt { ::Rails.error.report(told, handled: true, context: { vidcache: during }) if ::Rails.respond_to?(:error) }
      nil
    end

    # What goes to who watches the app: messages are kept there, the error's own and those of its causes. Clients of
    # HTTP quote addresses and bodies, a NoMethodError its receiver. This library's own messages never hold personal
    # data.
    #
    # @param error [Exception]
    # @return [Exception] the error; or, where a message of it may hold an email, a {Withheld} that says what and where
    #   it was
    def self.without_email(error)
      return error unless tells_email?(error)

      withheld = Withheld.new("#{error.class}; what it says is left out, since there is an email in it")
      withheld.set_backtrace(error.backtrace || [])
      withheld
    end

    def self.tells_email?(error)
      return true if !error.is_a?(Error) && error.message.to_s.b.match?(EMAIL)

      cause = error.cause
      !cause.nil? && tells_email?(cause)
    rescue StandardError
      true
    end
    private_class_method :tells_email?

    # An email, as it stands in a text, an address or JSON.
    EMAIL = /[^\s@"'<>(]{1,64}(?:@|%40)[\w-]+\./n
    private_constant :EMAIL

    # {report} for what a stranger can cause as often as they like: each message at once, and then at most once an hour,
    # with how often there was one.
    #
    # @param error [Vidcache::Error] whose message is one of few, but for the numbers in it
    # @param during [String] what failed, and what came of it
    # @return [void]
    def self.report_seldom(error, during:)
      many = @seldom.count(error.message.tr("0-9", "")) or return
      report(error, during: many == 1 ? during : "#{during} (#{many} of these since the last report)")
    end

    # How often what happened since it was last told.
    # @api private
    class Tally
      EVERY = 3600 # seconds

      def initialize
        @mutex = Mutex.new
        clear
      end

      # @return [Integer, nil] how often, if it is time to tell
      def count(what, now = Process.clock_gettime(Process::CLOCK_MONOTONIC))
        @mutex.synchronize do
          told, untold = @counts[what]
          due = told.nil? || now - told >= EVERY
          @counts[what] = due ? [now, 0] : [told, untold + 1]
          untold.to_i + 1 if due
        end
      end

      # @return [void]
      def clear
        @counts = {}
      end
    end
    @seldom = Tally.new

    class << self
      # @return [Tally]
      attr_reader :seldom
    end

    # Messages of this library never hold personal data. Messages of others can: a NoMethodError inspects its receiver,
    # with the user's email and all. So of others' failures only the class and the place are logged.
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
