# frozen_string_literal: true

# Gems that no package of this system has, from checkouts that whoever runs the tests has made: VIDCACHE_GEMS names a
# folder with one in each folder (`resque`, `good_job`, …). Rakefile puts them on the path of all that is started.
module Checkouts
  FOLDER = ENV.fetch("VIDCACHE_GEMS", nil)

  # @param gems [Array<String>]
  # @return [String, nil] why these cannot be had
  def self.missing(*gems)
    gone = gems.reject { |name| there?(name) }
    return if gone.empty?

    "#{gone.join(", ")}: no package here, and VIDCACHE_GEMS=… names no folder with a checkout"
  end

  def self.there?(name)
    (FOLDER && File.directory?(File.join(FOLDER, name, "lib"))) || Gem::Specification.find_all_by_name(name).any?
  end
  private_class_method :there?
end
