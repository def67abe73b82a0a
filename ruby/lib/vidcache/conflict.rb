# frozen_string_literal: true

require "vidcache/value"

module Vidcache
  # A user whose email another contact holds, or whose contact is another user's. See {Cache#conflicts}. Frozen;
  # compared by value.
  class Conflict
    include Value

    # @return [String] the user's key as text: an Integer key in decimal
    attr_reader :user_id

    # @return [Integer, nil] their contact; nil: they are linked to none
    attr_reader :vid

    # @return [Integer, nil] the contact that holds their email, or that another user has; nil: HubSpot did not name it
    attr_reader :holder

    # @return [Symbol] +:email_held+ or +:vid_taken+
    attr_reader :why

    # @return [Time] since when this conflict stands; one that was over and comes again begins anew
    attr_reader :since

    # Conflicts come from {Cache#conflicts}.
    # @api private
    def initialize(user_id, vid, holder, why, since)
      @user_id = user_id.freeze
      @vid = vid
      @holder = holder
      @why = why
      @since = since.freeze
      freeze
    end

    # @return [Hash{Symbol => Object}] +user_id+, +vid+, +holder+, +why+ and +since+
    def to_h
      { user_id: @user_id, vid: @vid, holder: @holder, why: @why, since: @since }
    end
  end
end
