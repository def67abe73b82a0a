# frozen_string_literal: true

require "fileutils"
require "rubygems"

# Checkouts of gems, as RubyGems and Bundler find gems, and before those of this system's packages.
module GemPath
  # @param folders [Array<String>] of checkouts: one of Rails, or a folder with one of a gem in each folder. What has an
  #   extension has it built in its `lib`
  # @param home [String] a folder that is made anew
  # @return [String] for the environment's GEM_PATH
  def self.make(folders, home)
    FileUtils.rm_rf(home)
    FileUtils.mkdir_p(%w[specifications gems].map { |name| "#{home}/#{name}" })
    found = folders.flat_map { |folder| Dir["#{folder}/{,*/}*.gemspec"] }.to_h { |file| [File.dirname(file), specification(file)] }
    found.compact.each do |folder, specification|
      relax(specification, found.values.compact)
      File.write("#{home}/specifications/#{specification.full_name}.gemspec", specification.to_ruby)
      File.symlink(folder, "#{home}/gems/#{specification.full_name}")
    end
    [home, *Gem.path].join(":")
  end

  def self.specification(file)
    Dir.chdir(File.dirname(file)) { Gem::Specification.load(file) }
  end

  # As far as it is here: what a checkout asks for besides (a newer one, assets, a compiler's helper) no test needs.
  def self.relax(specification, others)
    specification.extensions = []
    here = specification.runtime_dependencies.select do |one|
      others.any? { |other| other.name == one.name } || Gem::Specification.find_all_by_name(one.name).any?
    end
    here.map! do |one|
      fits = others.any? { |other| one.match?(other.name, other.version) } || Gem::Specification.find_all_by_name(one.name, one.requirement).any?
      fits ? one : Gem::Dependency.new(one.name)
    end
    specification.dependencies.replace(here)
  end
  private_class_method :specification, :relax
end
