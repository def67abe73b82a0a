# frozen_string_literal: true

require "active_support"
require "vidcache/answer"
require "vidcache/rails/settings"
require "vidcache/rails/failure"
require "vidcache/rails/unavailable"
require "vidcache/rails/boot"
require "vidcache/rails/change"
require "vidcache/rails/portals"
require "vidcache/rails/model"
require "vidcache/rails/pulse"
require "vidcache/rails/instrumentation"
require "vidcache/rails/health"
require "vidcache/rails/tracking_data"
require "vidcache/rails/view_helper"

# What a Rails app uses: {Vidcache.cache}, {Vidcache::Model}, {Vidcache::ViewHelper} and {Vidcache::TrackingData}. The
# railtie loads this.
module Vidcache
  autoload :ContactJob, "vidcache/rails/contact_job"
  autoload :Backfill, "vidcache/rails/backfill"
  autoload :Explanation, "vidcache/rails/explanation"
  autoload :HubspotHttp, "vidcache/rails/hubspot_http"
  autoload :Check, "vidcache/rails/check"
  autoload :Database, "vidcache/database"
  autoload :UnsupportedDatabase, "vidcache/database"
  autoload :Counts, "vidcache/rails/counts"
  autoload :Metrics, "vidcache/rails/metrics"
  autoload :ContactReader, "vidcache/rails/contact_reader"
  autoload :Reconcile, "vidcache/rails/reconcile"
  autoload :ReconcileJob, "vidcache/rails/reconcile_job"
  autoload :JobQueue, "vidcache/rails/job_queue"
  autoload :TaskQueue, "vidcache/rails/task_queue"
  autoload :Web, "vidcache/rails/web"
  autoload :Webhook, "vidcache/rails/webhook"

  Cache.prepend(Instrumentation::Recording)
  Cache.prepend(VidColumn::Recording)

  # `config.vidcache.portal_id` is not set, and no cache was given by {Vidcache.cache=}.
  class NotConfigured < Error
    # Not one of the core's codes: it is about the app's configuration, not about a file.
    CODE = :not_configured
  end

  # What was given for a user is none that `has_vid` knows.
  class NoUser < Error
    # Not one of the core's codes.
    CODE = :no_user
  end

  # A tag, or its data, stands in a `cache` block of a template: everybody would be told who the first visitor was.
  class InFragmentCache < Error
    # Not one of the core's codes.
    CODE = :in_fragment_cache
  end

  @mutex = Mutex.new
  @of_portals = {}
  @failed_opens = {}

  # How long after a failed open pages are told of that failure instead of trying again. Opening can wait for other
  # processes, and every request of a process would queue behind it.
  REOPEN_AFTER = 1.0 # seconds

  class << self
    # The app's cache, opened at the first use from `config.vidcache`: a file, or the tables in the app's own database
    # ({Database}, `config.vidcache.store = :database`). The same object serves all threads, and goes on
    # working in the children of a fork: nothing is to be done in Puma's `before_fork` or `on_worker_boot`.
    #
    # @param portal [Integer, nil] in an app with a portal for each tenant (`has_vid portal:`): whose cache it is; nil:
    #   that of {in_portal}'s block
    # @return [Vidcache::Cache, Vidcache::Database]
    # @raise [Vidcache::NotConfigured] no `portal_id`
    # @raise [Vidcache::Error] the file cannot be opened; for {REOPEN_AFTER} seconds later calls raise the same error
    def cache(portal = Portals.current)
      portal = Portals.number(portal) unless portal.nil?
      # One that was given stands for all of them.
      @cache || @of_portals[portal] || opened(portal)
    end

    # In an app with a portal for each tenant: everything in the block is of that portal, {cache} and {settings} too.
    # Models, jobs, webhooks, and tags that are given a user go there by themselves; a controller says it for the pages
    # of visitors who are not signed in, and then pages name users of that portal alone:
    #
    #     around_action { |_, action| Vidcache.in_portal(current_tenant.hubspot_portal, &action) }
    #
    # @param portal [Integer, nil] HubSpot's id of the portal; nil: there is none, so vidcache does nothing
    # @yield
    # @return [Object] what the block returns
    def in_portal(portal, &block)
      Portals.with(Portals.number(portal), &block)
    end

    # @return [Boolean] whether the rows are in the app's database, so that a change is part of its transaction
    # @api private
    def in_database?
      cache.respond_to?(:see_email_change)
    end

    # Puts another cache in its place, as tests do; `nil` goes back to the configured one.
    #
    # @param cache [Vidcache::Cache, nil] the one before is not closed
    # @return [Vidcache::Cache, nil]
    def cache=(cache)
      @mutex.synchronize do
        @cache = cache
        @of_portals = {}
        @failed_opens = {}
      end
    end

    # Has HubSpot's part played by what tests have in memory, and jobs wait for nothing.
    #
    # @param contacts [#call, nil] nil: as it is in production
    # @return [void]
    # @api private
    def tests_jobs(contacts)
      return unless defined?(::ActiveJob)

      ContactJob.waits = contacts.nil?
      HubspotHttp.stand_in = contacts
    end

    # Whether there is a cache to ask. Where there is none (no `portal_id`, as in most test environments) the view
    # helper renders nothing and models with `has_vid` save as if they had none.
    #
    # @return [Boolean]
    def configured?
      portal = Portals.current
      (!@cache.nil? && portal != Portals::NONE) || @of_portals.key?(portal) || settings.configured?
    end

    # @return [Vidcache::Settings] `config.vidcache`, with the defaults filled in
    def settings
      settings = @settings || Settings.new(defined?(::Rails.application) ? ::Rails.application : nil)
      portal = Portals.current
      portal.nil? ? settings : settings.of(portal)
    end

    # For a dashboard: {Cache#stats} of this process, and the changes of email that are outstanding, of all processes.
    #
    # @return [Hash{Symbol => Object}] besides those of {Cache#stats}: `:outstanding` (changes), `:oldest_outstanding`
    #   (seconds since the oldest was begun, nil if there is none), `:portal_id`
    # @raise [Vidcache::Error]
    def stats
      changes = cache.stale_changes(older_than: 0, limit: Model::MAX_CHANGES)
      oldest = changes.first && (Time.now - changes.first.begun_at)
      cache.stats.merge(outstanding: changes.size, oldest_outstanding: oldest, portal_id: cache.portal_id)
    end

    # @api private
    attr_writer :settings

    private

    def opened(portal)
      @mutex.synchronize do
        # Read without the lock by others, so never changed in place.
        @of_portals[portal] || open_configured(portal).tap { |cache| @of_portals = @of_portals.merge(portal => cache) }
      end
    end

    def open_configured(portal)
      error, at = @failed_opens[portal]
      raise error if error && Process.clock_gettime(Process::CLOCK_MONOTONIC) - at < REOPEN_AFTER

      Portals.with(portal) { settings.open }
    rescue Error, SystemCallError => e
      @failed_opens[portal] = [e, Process.clock_gettime(Process::CLOCK_MONOTONIC)] unless e.equal?(error)
      raise
    end
  end
end
