# frozen_string_literal: true

require "vidcache/value"

module Vidcache
  # A linked user whose contact a job is to read from HubSpot. See {Cache#users_to_read}. Frozen; compared by value.
  class UserToRead
    include Value

    # @return [String] the user's key as text: an Integer key in decimal; of several users who share the contact, one's
    attr_reader :user_id

    # @return [Integer] the contact
    attr_reader :vid

    # @return [Time, nil] when it was last read, or else when HubSpot last confirmed its email; nil: never
    attr_reader :read_at

    # Users to read come from {Cache#users_to_read}.
    # @api private
    def initialize(user_id, vid, read_at)
      @user_id = user_id.freeze
      @vid = vid
      @read_at = read_at.freeze
      freeze
    end

    # @return [Hash{Symbol => Object}] +user_id+, +vid+ and +read_at+
    def to_h
      { user_id: @user_id, vid: @vid, read_at: @read_at }
    end
  end
end
