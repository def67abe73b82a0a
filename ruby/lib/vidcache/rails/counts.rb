# frozen_string_literal: true

module Vidcache
  # Of how many users pages say less, and why, as far as the file knows it: each number from an index, and counted up to
  # a limit, so that it costs the same whatever the file holds. Which users' emails differ from the app's, and who has
  # no contact, the file cannot say: the emails and the users are the app's.
  #
  # @api private
  class Counts
    # Up to how many of a kind are counted where a page is to be there at once, and where a program asks.
    ON_A_PAGE = 1000
    FOR_PROGRAMS = 10_000

    # How many rows are read at once: a page whose user is not in memory waits for no longer than that.
    AT_ONCE = 100

    # Seconds.
    LONG_AGO = 30 * 86_400
    private_constant :AT_ONCE

    # @return [Integer]
    attr_reader :at_most

    # @param at_most [Integer]
    # @raise [Vidcache::Error]
    def initialize(at_most = ON_A_PAGE)
      @at_most = at_most
      @cache = Vidcache.cache
    end

    # @return [Array<StaleChange>] the oldest first
    def changes
      @changes ||= @cache.stale_changes(older_than: 0, limit: @at_most)
    end

    # @return [Array<Conflict>]
    def conflicts
      @conflicts ||= @cache.conflicts(limit: @at_most)
    end

    # @return [Integer] seconds; 0: there is no change
    def oldest_change
      changes.empty? ? 0 : [(Time.now - changes.first.begun_at).to_i, 0].max
    end

    # @return [Integer]
    def unconfirmed
      @unconfirmed ||= count(false, 0)
    end

    # @return [Integer]
    def confirmed_long_ago
      @confirmed_long_ago ||= count(true, LONG_AGO)
    end

    # @return [Time, nil] when the email was confirmed that nobody has read for longest
    def oldest_confirmation
      @cache.users_to_read(confirmed: true, limit: 1).first&.read_at
    end

    # What {Pulse} keeps of an hour.
    # @return [Hash{String => Integer}]
    def sample
      { "change_outstanding" => changes.size, "email_unconfirmed" => unconfirmed, "conflict" => conflicts.size }
    end

    private

    def count(confirmed, older_than)
      counted = 0
      last = nil
      while counted < @at_most
        found = @cache.users_to_read(confirmed: confirmed, older_than: older_than, after: last, limit: [AT_ONCE, @at_most - counted].min)
        counted += found.size
        break if found.size < AT_ONCE

        last = found.last
      end
      counted
    end
  end
end
