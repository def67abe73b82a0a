# frozen_string_literal: true

require_relative "helper"

# Every setting stands in one table of the guide, and no other does; the railtie's own list has the same.
class Vidcache::SettingsTableTest < Vidcache::RailsTest
  ROOT = File.expand_path("../../..", __dir__)

  # Read by Settings itself, or handed to {Vidcache.open} by their names.
  def self.there_are
    read = File.read("#{ROOT}/ruby/lib/vidcache/rails/settings.rb").scan(/@options(?:\.|\[:)(\w+)|of_portal\(:(\w+)\)/).flatten.compact
    opened = Vidcache.method(:open).parameters.filter_map { |kind, name| name.to_s if kind == :key }
    (read + opened - %w[keys each]).uniq.sort
  end

  def test_the_guide_lists_every_setting_in_one_table
    table = File.read("#{ROOT}/docs/guides/rails.md")[/^\| `config\.vidcache\.` \|.*?\n\n/m].to_s
    listed = table.rstrip.lines.drop(2).flat_map { |line| line.split("|")[1].scan(/`(\w+)`/) }.flatten
    assert_equal self.class.there_are, listed.sort
  end

  def test_so_does_the_railtie
    listed = File.read("#{ROOT}/ruby/lib/vidcache/railtie.rb").scan(/^  # \| (`\w+`[^|]*) \|/).flatten.flat_map { |cell| cell.scan(/`(\w+)`/) }
    assert_equal self.class.there_are, listed.flatten.sort
  end
end
