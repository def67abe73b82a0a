# frozen_string_literal: true

module Vidcache
  # What every failure of this library is. The extension defines a subclass for each code of the core's
  # table when it is loaded, so what is listed here is only for reading:
  #
  # The caller's input, and nothing was written::
  #   +InvalidUserKey+, +InvalidVid+, +InvalidEmail+, +InvalidPortal+, +InvalidSecret+, +InvalidOption+,
  #   +InvalidAnswer+ (no JSON, or a field of the wrong type), +AnswerWithoutId+ (it names no contact),
  #   +AnswerWithoutEmail+ (it cannot finish a change), +InvalidWebhook+ (no batch of events, or a field of the wrong type),
  #   +InvalidSignature+ (the request is not HubSpot's, or not of now), +BufferTooSmall+ (never seen in Ruby, where Strings grow)
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
  # No message holds an email, a secret, or a value out of an answer, and only that of +VidTaken+ holds users' keys: the two
  # that are to be told apart.
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
end
