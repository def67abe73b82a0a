# frozen_string_literal: true

module Vidcache
  # What the value objects have in common: they are what their +to_h+ says.
  # @api private
  module Value
    # For pattern matching.
    # @return [Hash{Symbol => Object}] as +to_h+
    def deconstruct_keys(_keys)
      to_h
    end

    # @return [Boolean] whether the other is of the same class and says the same
    def ==(other)
      other.class == self.class && other.to_h == to_h
    end
    alias eql? ==

    # @return [Integer] the same for equal ones
    def hash
      to_h.hash
    end
  end
end
