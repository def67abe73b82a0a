# frozen_string_literal: true

require "vidcache/value"

module Vidcache
  # What {Cache#record} learnt from an answer of HubSpot's. Frozen; compared by value.
  class Recorded
    include Value

    # @return [Integer] the contact that the answer described, now the user's
    attr_reader :vid

    # @return [Boolean, nil] whether the call made the contact, nil where the answer does not say
    attr_reader :created

    # Recorded answers come from {Cache#record}.
    # @api private
    def initialize(vid, canonical, created, email_observed)
      @vid = vid
      @canonical = canonical
      @created = created
      @email_observed = email_observed
      freeze
    end

    # @return [Boolean] whether the answer said which email the contact holds, and since when. Without that,
    #   no page names an email on the strength of it.
    def email_observed?
      @email_observed
    end

    # @return [Boolean] whether {#vid} is the id that HubSpot was asked for. If not, that one was merged into it.
    def canonical?
      @canonical
    end

    # @return [Hash{Symbol => Object}] +vid+, +canonical+, +created+ and +email_observed+
    def to_h
      { vid: @vid, canonical: @canonical, created: @created, email_observed: @email_observed }
    end
  end
end
