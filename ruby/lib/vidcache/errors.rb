# frozen_string_literal: true

module Vidcache
  # What every failure of this library is. The extension defines a subclass for each code of the core's
  # table when it is loaded, so what is listed here is only for reading:
  #
  # The caller's input, and nothing was written::
  #   +InvalidUserKey+, +InvalidVid+, +InvalidEmail+, +InvalidPortal+, +InvalidSecret+, +InvalidOption+, +InvalidAnswer+
  #   (no JSON, or a field of the wrong type), +AnswerWithoutId+ (it names no contact), +AnswerWithoutEmail+ (it cannot
  #   finish a change), +InvalidWebhook+ (no batch of events, or a field of the wrong type), +InvalidSignature+ (the
  #   request is not HubSpot's, or not of now), +BufferTooSmall+ (never seen in Ruby, where Strings grow)
  # What the rows, or HubSpot, say against it, and nothing was written about the user::
  #   +UnknownChange+, +ForeignChange+ (another user's token), +VidTaken+ (the contact is linked to another user),
  #   +ContactConflict+ (409: another contact holds that email), +ContactMissing+ (404), +RateLimited+ (429)
  # The file, at open, which was left as it is::
  #   +WrongPortal+, +WrongSecret+, +NotACache+, +NewerSchema+, +CannotOpen+, +UnsupportedFilesystem+
  # While working::
  #   +Busy+ (another process held the lock for longer than +busy_timeout+; try again), +Storage+ (SQLite or
  #   the disk), +Corrupt+, +Closed+, +Cancelled+ (never seen in Ruby, where the interrupt itself is raised)
  # A defect of this library::
  #   +Internal+
  #
  # No message holds an email, a secret, or a value out of an answer, and only that of +VidTaken+ holds users' keys: the
  # two that are to be told apart.
  class Error < StandardError
    class << self
      # @return [Symbol, nil] the code's name, the same in every language: +:invalid_user_key+. nil only
      #   for the base class, which the extension never raises.
      def code
        const_get(:CODE) if const_defined?(:CODE)
      end

      # @return [Integer, nil] the code's number, as C has it. A number keeps its meaning for ever.
      def code_number
        const_get(:CODE_NUMBER) if const_defined?(:CODE_NUMBER)
      end
    end

    # @return [Symbol, nil] see {Error.code}
    def code
      self.class.code
    end

    # @return [Integer, nil] see {Error.code_number}
    def code_number
      self.class.code_number
    end
  end

  # The contact is linked to another user.
  class VidTaken < Error
    # @return [Integer] the contact
    attr_reader :vid
  end

  # HubSpot answered 409: another contact holds that email. What this one holds can be read and recorded.
  class ContactConflict < Error
    # @return [Integer, nil] the contact that holds the email, where HubSpot said which
    attr_reader :vid
  end

  # HubSpot answered 404: there is no such contact, or none any more.
  class ContactMissing < Error; end

  # HubSpot answered 429: the call may be made again later.
  class RateLimited < Error
    # @return [Float, nil] seconds to wait, where HubSpot said so
    attr_reader :retry_after

    # @api private
    def initialize(message = nil, retry_after: nil)
      @retry_after = retry_after
      super(message)
    end
  end

  # HubSpot answered with an error that says nothing of a contact: 401, 500 and the like.
  class HubspotError < Error
    # @return [Integer, nil] the HTTP status
    attr_reader :status

    # @api private
    def initialize(message = nil, status: nil)
      @status = status
      super(message)
    end

    # @return [Symbol] not one of the core's codes, which reads no HTTP statuses
    def code
      :hubspot_error
    end
  end
end
