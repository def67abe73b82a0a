# frozen_string_literal: true

require "minitest"

# VIDCACHE_GC makes the collector as hostile as it can be while each test of this process runs, in any set of tests:
#
# - `major` collects before and after each test;
# - `compact` moves what it can at every collection;
# - `verify` moves every object after each test and checks all references;
# - `stress` collects what is young at every allocation.
#
# A test of texts alone, which would take hours so, says that it is not `hostile?`.
module HostileCollector
  LEVELS = %w[major compact verify stress].freeze
  LEVEL = ENV.fetch("VIDCACHE_GC", nil)
  abort "VIDCACHE_GC has to be one of #{LEVELS.join(", ")}" unless LEVEL.nil? || LEVELS.include?(LEVEL)

  # Without major collections, each of which takes as long as the heap is large. gc_test.rb has those.
  YOUNG_ONLY = 1

  def hostile?
    true
  end

  def before_setup
    super
    return unless hostile?

    case LEVEL
    when "major" then GC.start
    when "compact" then GC.auto_compact = true
    when "stress" then GC.stress = YOUNG_ONLY
    end
  end

  def after_teardown
    GC.stress = false
    case hostile? && LEVEL
    when "major", "compact" then GC.start
    when "verify" then GC.verify_compaction_references(toward: :empty)
    end
    super
  end
end
Minitest::Test.prepend(HostileCollector)
