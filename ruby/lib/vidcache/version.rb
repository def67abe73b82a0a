# frozen_string_literal: true

module Vidcache
  # The gem's version, which is also the core's.
  VERSION = "0.1.0"
end
