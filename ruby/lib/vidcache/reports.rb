# frozen_string_literal: true

require "vidcache/value"

module Vidcache
  # What {Cache#observe} learnt. Frozen; compared by value.
  class Observed
    include Value

    # @return [Array<Integer>] the contacts that the answer described, by the ids that live
    attr_reader :contacts

    # @return [Array<Integer>] the ids for which HubSpot says it has no contact. One that was asked for and is in
    #   neither was merged into another: HubSpot leaves it out without a word. Read it by itself and observe that.
    attr_reader :missing

    # @api private
    def initialize(contacts, missing)
      @contacts = contacts
      @missing = missing
      freeze
    end

    # @return [Hash{Symbol => Array<Integer>}] +contacts+ and +missing+
    def to_h
      { contacts: @contacts, missing: @missing }
    end
  end

  # What {Cache#apply_webhook} did with the events of a body. Frozen; compared by value.
  class WebhookReport
    include Value

    # @return [Integer] events that told something new
    attr_reader :applied

    # @return [Integer] events that came before, or were overtaken by something newer
    attr_reader :repeated

    # @return [Integer] events of other types, objects, properties or portals
    attr_reader :ignored

    # @api private
    def initialize(applied, repeated, ignored)
      @applied = applied
      @repeated = repeated
      @ignored = ignored
      freeze
    end

    # @return [Hash{Symbol => Integer}] +applied+, +repeated+ and +ignored+
    def to_h
      { applied: @applied, repeated: @repeated, ignored: @ignored }
    end
  end

  # What {Cache#import} did. Frozen; compared by value.
  class ImportReport
    include Value

    # @return [Integer] users taken in, or known already
    attr_reader :imported

    # @return [Integer] users left out because another user has their contact
    attr_reader :vid_taken

    # @api private
    def initialize(imported, vid_taken)
      @imported = imported
      @vid_taken = vid_taken
      freeze
    end

    # @param other [ImportReport]
    # @return [ImportReport] of both
    def +(other)
      self.class.new(@imported + other.imported, @vid_taken + other.vid_taken)
    end

    # @return [Hash{Symbol => Integer}] +imported+ and +vid_taken+
    def to_h
      { imported: @imported, vid_taken: @vid_taken }
    end
  end
end
