# frozen_string_literal: true

module Vidcache
  class ContactJob < ActiveJob::Base
    # The right to tell HubSpot of one user ({Cache#lease}), as a job has it: one job of a user at a time, on all
    # processes that use the file, with no lock of the app's database. A process that dies with it keeps the user's
    # other jobs waiting for {SECONDS}.
    #
    # @api private
    class Lease
      # Seconds, from each renewal on: longer than {HubspotApi::CALL}.
      SECONDS = 60

      # Seconds after which a job that finds the lease taken looks again.
      AGAIN = 5

      # Of these a call was not sent, whatever came of it.
      UNSENT = [Error, Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, SocketError, Net::OpenTimeout].freeze
      private_constant :UNSENT

      # @param key [Integer, String] the user's
      # @return [Lease, nil] nil: another job has it
      # @raise [Vidcache::Error]
      def self.take(key)
        token = Vidcache.cache.lease(key, SECONDS)
        new(key, token) if token
      end

      def initialize(key, token)
        @key = key
        @token = token
        @calling = false
      end

      # Runs a call that writes to HubSpot. If nobody knows what came of it (its answer never came, the thread was
      # killed), it may arrive yet, and must not meet the next job's: then the lease is left to run out.
      #
      # @return [Object] what the block returns
      # @raise [NotYet] the lease has ended, so HubSpot is not called
      def during
        Vidcache.cache.lease(@key, SECONDS, renew: @token) or raise NotYet, "the job was too slow: HubSpot was not told, for another job may be at it"
        @calling = true
        answer = yield
        @calling = false
        answer
      rescue *UNSENT
        @calling = false
        raise
      rescue StandardError => e
        @calling = false if Answer.carried_by?(e)
        raise
      end

      # @return [void]
      def release
        Vidcache.cache.release(@key, @token) unless @calling
      rescue Error => e
        Failure.report(e, during: "a lease was not released, so the user's next job waits until it ends")
      end
    end
  end
end
