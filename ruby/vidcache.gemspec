# frozen_string_literal: true

require_relative "lib/vidcache/version"

# `rake gem` builds the gem: from a folder that has the core's sources too (rakelib/gem.rake).
Gem::Specification.new do |spec|
  spec.name = "vidcache"
  spec.version = Vidcache::VERSION
  spec.authors = ["The vidcache authors"]
  spec.summary = "An embedded identity cache, so that a page never names an email that HubSpot does not hold"
  spec.description = "Keeps, in a local SQLite file, which HubSpot contact each user is and whether HubSpot holds the " \
                     "email that the app has, so that the tracking snippet never makes a duplicate contact while a change is on its way."
  spec.licenses = %w[MIT Apache-2.0]
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir["lib/**/*.{rb,rake,tt,erb,css}", "sig/**/*.rbs", "ext/**/*.{rb,rs,toml}", "src/**/*.{rs,js,sql}", "command/**/*.{rs,toml,css}",
                   "Cargo.{toml,lock}", ".cargo/*.toml", "page/*.{js,ts}", "exe/*", "README.md", "CHANGELOG.md", "LICENSE-*", base: __dir__]
  spec.bindir = "exe"
  spec.executables = ["vidcache"]
  spec.require_paths = ["lib"]
  spec.extensions = ["ext/vidcache/extconf.rb"]
  spec.metadata = { "rubygems_mfa_required" => "true" }
end
