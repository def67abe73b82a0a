# frozen_string_literal: true

module Vidcache
  # What every failure of this library is. The extension defines a subclass for each code of the core's
  # table when it is loaded; this list is made by bindings/tables:
  #
  # +InvalidUserKey+ (101)::
  #   The user key cannot be a key: text is 1 to 255 bytes of UTF-8 without NUL.
  # +InvalidVid+ (102)::
  #   The vid is not an integer from 1 to 2^63 - 1.
  # +InvalidEmail+ (103)::
  #   The email cannot be an address.
  # +InvalidPortal+ (104)::
  #   The portal id is not an integer from 1 to 2^63 - 1.
  # +InvalidSecret+ (105)::
  #   The secret is too short to key the fingerprints: it takes at least 16 bytes.
  # +InvalidOption+ (106)::
  #   An option, or another argument, is of the wrong type or out of its range.
  # +BufferTooSmall+ (107)::
  #   The caller's buffer is too small for what was to be written to it. Only callers in C hand one over.
  # +InvalidAnswer+ (111)::
  #   The answer is not JSON, or a field that matters has the wrong type.
  # +AnswerWithoutId+ (112)::
  #   The answer is JSON but names no contact. What was asked for may have been done all the same, so read the contact.
  # +AnswerWithoutEmail+ (113)::
  #   The answer names a contact but not which email it holds and since when, so it cannot finish a change.
  # +InvalidWebhook+ (114)::
  #   The webhook's body is not a batch of events, or a field that matters has the wrong type. Nothing of the batch is
  #   applied but its erasures.
  # +InvalidSignature+ (115)::
  #   The request was not signed by HubSpot with this secret, or was signed at another time.
  # +UnknownChange+ (201)::
  #   No change with this token is known.
  # +ForeignChange+ (202)::
  #   The change token belongs to another user, or to one who was forgotten.
  # +VidTaken+ (203)::
  #   The contact is linked to another user.
  # +ContactConflict+ (204)::
  #   HubSpot refused: another contact holds the email (409, or a 400 that means the same).
  # +ContactMissing+ (205)::
  #   HubSpot has no such contact (404, in HubSpot's own words). It may pass: so it is right after a create.
  # +RateLimited+ (206)::
  #   HubSpot asks to wait, and the call was not carried out: its rate limit was reached (429), or it is at work (423,
  #   477, 503).
  # +Refused+ (207)::
  #   HubSpot will not take the email, however often it is told (400): the change has ended, and the message says what
  #   to do.
  # +HubspotError+ (208)::
  #   HubSpot answered with an error that says nothing of a contact: no access, a failure of its own. Try again later.
  # +WrongPortal+ (301)::
  #   The file belongs to another HubSpot portal.
  # +WrongSecret+ (302)::
  #   The file's key is wrapped under another secret.
  # +NotACache+ (303)::
  #   The file is not a database of this library.
  # +NewerSchema+ (304)::
  #   The file was written by a newer version of this library.
  # +CannotOpen+ (305)::
  #   The file cannot be opened or created.
  # +UnsupportedFilesystem+ (306)::
  #   The file system cannot carry a database that several processes share.
  # +TablesUnusable+ (307)::
  #   vidcache's tables in the app's database cannot be used: they are missing or half migrated, were not set up, may
  #   not be written, were asked on a replica or in a transaction that sees them as they were, or hold what cannot be.
  # +Busy+ (401)::
  #   Another process held the write lock for longer than the busy timeout.
  # +Cancelled+ (402)::
  #   The call was cancelled while it waited; nothing was written.
  # +Storage+ (403)::
  #   SQLite or the disk failed; nothing of this call was written.
  # +Corrupt+ (404)::
  #   The file is damaged.
  # +Closed+ (405)::
  #   The handle was closed.
  # +Internal+ (501)::
  #   A defect of this library, caught at a binding's edge.
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

  # HubSpot answered 409, or a 400 that means the same: another contact holds that email. What this one holds can be
  # read and recorded.
  class ContactConflict < Error
    # @return [Integer, nil] the contact that holds the email, where HubSpot said which
    attr_reader :vid
  end

  # HubSpot answered 404, in its own words: there is no such contact, or none any more. It may pass.
  class ContactMissing < Error; end

  # HubSpot answered 429, or 423, 477 or 503 with how long to wait: the call may be made again later.
  class RateLimited < Error
    # @return [Float, nil] seconds to wait, where HubSpot said so: at most a day
    attr_reader :retry_after

    # @api private
    def initialize(message = nil, retry_after: nil)
      @retry_after = retry_after
      super(message)
    end
  end

  # HubSpot will not take the email, however often it is told: the message says why, and what to do. The change that the
  # answer was recorded with has ended.
  class Refused < Error; end

  # HubSpot answered with an error that says nothing of a contact: 401, 500, a 404 that is not in HubSpot's own words
  # and the like. Whether the call was carried out is not known, so it is tried again.
  class HubspotError < Error
    # @return [Integer, nil] the HTTP status, where the client told
    attr_reader :status

    # @api private
    def initialize(message = nil, status: nil)
      @status = status
      super(message)
    end
  end
end
