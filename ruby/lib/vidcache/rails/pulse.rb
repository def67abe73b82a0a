# frozen_string_literal: true

require "active_support/notifications"
require "socket"

module Vidcache
  # What happened lately, for {Web} and {Metrics}: how often in this process, and, in the app's cache, when it last
  # happened in any process, how often in each hour of the last day, and what waited then. Nothing of it names a user.
  #
  # A page render counts in memory alone, since no render may wait for the app's cache. What jobs, webhooks and the
  # reconcile count is written at most every {EVERY} seconds by each process, so what a process counted last is lost
  # with it. Where the processes share no cache, each knows of itself.
  #
  # @api private
  module Pulse
    # Seconds.
    EVERY = 10
    HOUR = 3600
    KEPT = 30 * 86_400
    HOURS = 24

    # What is written to the app's cache.
    SHARED = %w[answers webhooks refused_webhooks jobs failed_jobs conflicts reconciles].freeze

    # The notifications that are counted, and as what.
    NOTIFICATIONS = { "record.vidcache" => "answers", "webhook.vidcache" => "webhooks", "refused_webhook.vidcache" => "refused_webhooks",
                      "conflict.vidcache" => "conflicts", "reconcile.vidcache" => "reconciles" }.freeze
    private_constant :NOTIFICATIONS

    @mutex = Mutex.new
    @counts = Hash.new(0)
    @unsent = Hash.new(0)
    @sent_at = nil

    module_function

    # Counts what the notifications tell of, once.
    # @return [void]
    def listen
      @listening ||= NOTIFICATIONS.map do |event, what|
        ActiveSupport::Notifications.subscribe(event) { count(what) }
      end
      ActiveSupport::ForkTracker.after_fork { clear } if defined?(ActiveSupport::ForkTracker) && !@tracking
      @tracking = true
    end

    # @param reason [Symbol] of a page's decision
    # @return [void]
    def page(reason)
      @mutex.synchronize { @counts[reason] += 1 }
    end

    # @param what [String] of {SHARED}
    # @return [void]
    def count(what)
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      due = @mutex.synchronize do
        @counts[what] += 1
        @unsent[what] += 1
        @sent_at.nil? || now - @sent_at >= EVERY
      end
      send_off if due
    end

    # @return [Hash{Symbol, String => Integer}] since this process began
    def counts
      @mutex.synchronize { @counts.dup }
    end

    # Of a process that was forked off, and for tests.
    # @return [void]
    def clear
      @mutex.synchronize do
        [@counts, @unsent].each(&:clear)
        @sent_at = nil
      end
    end

    # Keeps what waits now in the portal as this hour's, for the chart.
    # @param sample [Hash{String => Integer}]
    # @return [void]
    def sample(sample)
      attempt { store&.write(key("sample#{Portals.suffix}", hour), sample, expires_in: KEPT) }
    end

    # @return [Array<Array(Integer, Hash)>] the hours of the last day that something is known of, as seconds since 1970,
    #   the oldest first, and what waited then
    def samples
      read_hours("sample#{Portals.suffix}").select { |_, sample| sample.is_a?(Hash) }
    end

    # @return [Hash{String => Hash}] of each of {SHARED}: `"at"`, when it last happened, in seconds since 1970;
    #   `"last_hour"` and `"last_day"`, how often. Nothing of what is not known
    def lately
      send_off
      SHARED.to_h do |what|
        by_hour = read_hours(what, raw: true).to_h.transform_values(&:to_i)
        last = attempt { store&.read(key("at", what)) }
        # The hour that has begun, and the one before it, as far as it belongs to the last 60 minutes.
        part = 1 - ((Time.now.to_i % HOUR) / HOUR.to_f)
        recent = by_hour[hour].to_i + (by_hour[hour - HOUR].to_i * part)
        [what, { "at" => last, "last_hour" => last && recent.round, "last_day" => last && by_hour.values.sum }]
      end
    end

    # @return [Hash{String => Integer}] of each of {SHARED}, since the app's cache was last emptied
    def totals
      send_off
      keys = SHARED.to_h { |what| [key("total", what), what] }
      (attempt { store&.read_multi(*keys.keys, raw: true) } || {}).to_h { |name, count| [keys.fetch(name), count.to_i] }
    end

    # @return [Hash{String => Integer}] when each host of the last day was last heard of, in seconds since 1970, by its
    #   name: those whose processes count into one cache, and whoever asks
    def hosts
      send_off
      known = attempt { store&.read(key("hosts")) } || {}
      heard(known)
    end

    def send_off
      unsent = @mutex.synchronize do
        @sent_at = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        @unsent.dup.tap { @unsent.clear }
      end
      attempt do
        unsent.each do |what, by|
          add(key(what, hour), by)
          add(key("total", what), by)
          store&.write(key("at", what), Time.now.to_i, expires_in: KEPT)
        end
        # Of two hosts that write at once one is written the next time.
        store&.write(key("hosts"), heard(store.read(key("hosts")) || {}), expires_in: KEPT)
      end
    end

    def heard(known)
      now = Time.now.to_i
      known.merge(Socket.gethostname => now).select { |_, at| now - at < HOURS * HOUR }
    end

    # Not every store makes what it is to increment (before Rails 7.1).
    def add(name, by)
      store&.increment(name, by, expires_in: KEPT) || store&.write(name, by, raw: true, expires_in: KEPT)
    end

    def read_hours(what, raw: false)
      hours = (0...HOURS).map { |back| hour - (back * HOUR) }.reverse
      keys = hours.to_h { |at| [key(what, at), at] }
      found = attempt { store&.read_multi(*keys.keys, raw: raw) } || {}
      keys.filter_map { |name, at| [at, found[name]] if found[name] }
    end

    def hour
      now = Time.now.to_i
      now - (now % HOUR)
    end

    def key(*parts)
      "vidcache/pulse/#{parts.join("/")}"
    end

    def store
      ::Rails.cache if ::Rails.respond_to?(:cache)
    end

    # What a cache that is away costs is this knowledge, and nothing else.
    def attempt
      yield
    rescue StandardError
      nil
    end

    private_class_method :send_off, :heard, :add, :read_hours, :hour, :key, :store, :attempt
  end
end
