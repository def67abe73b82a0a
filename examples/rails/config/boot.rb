# frozen_string_literal: true

ENV["BUNDLE_GEMFILE"] ||= File.expand_path("../Gemfile", __dir__)
ENV["RAILS_ENV"] ||= "production"

require "bundler/setup"
require "logger" # Active Support 6.1 uses it without requiring it.
