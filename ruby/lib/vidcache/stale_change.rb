# frozen_string_literal: true

require "vidcache/value"

module Vidcache
  # An email change that has been outstanding for a while: its job was lost, or the app ended between
  # beginning it and committing. See {Cache#stale_changes}. Frozen; compared by value.
  class StaleChange
    include Value

    # @return [String] the user's key as text: an Integer key in decimal
    attr_reader :user_id

    # @return [Integer] what a fresh answer is to be recorded with
    attr_reader :token

    # @return [Time] when it was begun, by the app's clock, to the millisecond
    attr_reader :begun_at

    # Stale changes come from {Cache#stale_changes}.
    # @api private
    def initialize(user_id, token, begun_at)
      @user_id = user_id.freeze
      @token = token
      @begun_at = begun_at.freeze
      freeze
    end

    # @return [Hash{Symbol => Object}] +user_id+, +token+ and +begun_at+
    def to_h
      { user_id: @user_id, token: @token, begun_at: @begun_at }
    end
  end
end
