# frozen_string_literal: true

require "active_job"
require "net/http"
require "openssl"
require "vidcache/rails/reconcile"

module Vidcache
  # {Reconcile}, for a scheduler: hourly, with the name of the model that has `has_vid`. Without one it reads the
  # contacts that are to be read, and nothing else: so {Webhook} enqueues it.
  class ReconcileJob < ActiveJob::Base
    # Seconds after something became doubtful in which a read says nothing yet, and some more.
    WAIT = 10

    # Seconds that a job waits where to look for the doubtful is to look at everybody, in the app's database.
    LONGER = 60
    private_constant :LONGER

    retry_on Busy, Storage, HubspotError, RateLimited, SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError,
             Net::ProtocolError, wait: 60, attempts: 3

    # @param model [String, nil]
    # @param portal [Integer, nil] in an app with a portal for each tenant: of that one alone; without it the job
    #   enqueues one for each, so that none waits for another's HubSpot
    # @return [void]
    def perform(model = nil, portal = nil)
      return Vidcache.in_portal(portal) { Reconcile.new(model&.constantize).run } if portal

      portals = Portals.to_go_over
      return Reconcile.new(model&.constantize).run if portals.nil?

      Portals.in_each(portals) { |each| self.class.set(queue: queue_name, priority: priority).perform_later(model, each) }
    end

    # Enqueues a job that reads whoever has become doubtful, unless nobody has, or this process has just enqueued one.
    # @return [void]
    # @api private
    def self.soon
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      portal = Portals.current
      return if (@soon && now < @soon.fetch(portal, 0)) || Vidcache.settings.access_token.nil?

      everybody = Vidcache.in_database?
      return if !everybody && Vidcache.cache.users_to_read(older_than: Reconcile::AGAIN, limit: 1).empty?

      wait = everybody ? LONGER : WAIT
      @soon = { **@soon.to_h, portal => now + wait }
      set(wait: wait).perform_later(*([nil, portal] if portal))
    end

    # For tests.
    # @api private
    def self.forget_soon
      @soon = nil
    end
  end
end
