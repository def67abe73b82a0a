# frozen_string_literal: true

require "json"
require "openssl"
require "active_support"
require "active_support/message_encryptor"
require "active_support/core_ext/numeric/time"

module Vidcache
  class ContactJob < ActiveJob::Base
    # What a job keeps from try to try, and what it is given when it is enqueued: under which emails HubSpot may know
    # the user besides their present one. The file holds no email, so this travels with the job, and ends with it:
    # encrypted under a key that is derived of the app's secret (`config.vidcache.secret`, and the old ones after a
    # rotation), and bound to the user.
    #
    # @api private
    class Memory
      # How long it can be read: as long as queues retry.
      KEPT = 30.days
      # The most emails: each costs a call where HubSpot has none of them.
      MOST = 5
      private_constant :KEPT, :MOST

      # @return [Array<String>] the email before the change, and those that HubSpot was told to make a contact with
      attr_reader :formerly

      # @return [Float, nil] seconds since 1970: HubSpot is told no sooner
      attr_accessor :not_before

      # Whether a contact may be made. Nil: the job is the own one of a change or a sign-up. False: it was made later,
      # for one whose own job may be lost and knew more. True: the app says so (`CREATE=1`).
      #
      # @return [Boolean, nil]
      attr_accessor :creates

      # @return [String, nil] the email that the user had when they signed up, of the job of that
      attr_accessor :signed_up_as

      # Whether the change has yet to be begun: the row was saved while the file could not be used ({Unavailable}).
      # @return [Boolean]
      attr_accessor :unbegun

      # @return [Float, nil] seconds since 1970: when a row was made whose key may have been another user's
      #   ({Unavailable})
      attr_accessor :row_of

      # @param sealed [String, nil] of {#seal}
      # @param key [Integer, String] the user's
      # @return [Memory] an empty one if it cannot be read, which is reported; then no contact may be made
      def self.open(sealed, key)
        kept = sealed ? JSON.parse(encryptor.decrypt_and_verify(sealed, purpose: purpose(key))) : {}
        new(kept)
      rescue ActiveSupport::MessageEncryptor::InvalidMessage, JSON::JSONError, TypeError
        failure = Error.new("what the job kept cannot be read: it is older than 30 days, or the secret is another one and no old secret was given")
        Failure.report(failure, during: "a job does not know the email before the change")
        new({ "creates" => false })
      end

      def initialize(kept)
        @formerly = Array(kept["formerly"])
        @not_before = kept["not_before"]
        @none_found = kept["none_found"] ? true : false
        @creates = kept["creates"]
        @signed_up_as = kept["signed_up_as"]
        @unbegun = kept["unbegun"] ? true : false
        @row_of = kept["row_of"]
      end

      # @param email [String, nil]
      # @return [void]
      def add(email)
        @formerly = [*@formerly, email].uniq.last(MOST) if email.present?
      end

      # @return [Boolean] whether HubSpot said before that it knows nobody by any of the emails
      def none_found?
        @none_found
      end

      # @return [void]
      def none_found!
        @none_found = true
      end

      # @param key [Integer, String] the user's
      # @return [String, nil] nil: there is nothing to keep
      def seal(key)
        kept = { "formerly" => @formerly.presence, "not_before" => @not_before, "none_found" => @none_found || nil, "creates" => @creates,
                 "signed_up_as" => @signed_up_as, "unbegun" => @unbegun || nil, "row_of" => @row_of }.compact
        self.class.encryptor.encrypt_and_sign(JSON.generate(kept), purpose: self.class.purpose(key), expires_in: KEPT) if kept.any?
      end

      # @return [ActiveSupport::MessageEncryptor]
      def self.encryptor
        settings = Vidcache.settings
        keys = [settings.secret, *settings.old_secrets].map { |secret| OpenSSL::HMAC.digest("SHA256", secret, "vidcache: what a job keeps, 1") }
        plain = ActiveSupport::MessageEncryptor::NullSerializer
        encryptor = ActiveSupport::MessageEncryptor.new(keys.first, cipher: "aes-256-gcm", serializer: plain)
        keys.drop(1).each { |old| encryptor.rotate(old) }
        encryptor
      end

      # @return [String]
      def self.purpose(key)
        "vidcache: a job of user #{key}"
      end
    end
  end
end
