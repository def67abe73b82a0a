# frozen_string_literal: true

require "fileutils"
require "pathname"
require "securerandom"

# What this app is told by its environment. A real app would have none of this, but credentials and `config/`.
module Shop
  ROOT = Pathname.new(File.expand_path("..", __dir__))

  class << self
    # @return [Pathname] where the database, the cache and the logs are
    def data_dir
      @data_dir ||= Pathname.new(ENV.fetch("DATA_DIR", ROOT.join("storage").to_s)).expand_path.tap do |dir|
        FileUtils.mkdir_p([dir.join("log"), dir.join("tmp"), dir.join("locks")])
      end
    end

    # @return [Integer] HubSpot's id of the shop's account
    def portal
      Integer(ENV.fetch("HUBSPOT_PORTAL", 62_515))
    end

    # @return [Symbol] what the pages tell HubSpot: `:usual`, what everyone does, or `:vidcache`
    def snippet
      name = ENV.fetch("SNIPPET", "vidcache")
      raise ArgumentError, "SNIPPET is usual or vidcache, not #{name}" unless %w[usual vidcache].include?(name)

      name.to_sym
    end

    def usual?
      snippet == :usual
    end

    # @return [String, nil] a copy of Turbo, served to the pages as /turbo.js; without one the shop's pages are loaded
    #   in full
    def turbo
      ENV["TURBO"].presence
    end

    def sidekiq?
      ENV["JOBS"] == "sidekiq"
    end

    # @return [Boolean] whether processes share no disk, and the data stand in the PostgreSQL of DATABASE_URL
    def several_hosts?
      ENV.key?("DATABASE_URL")
    end

    # @return [HubspotApi]
    def hubspot
      HubspotApi.new(ENV.fetch("HUBSPOT_API", "https://api.hubapi.com"), ENV.fetch("HUBSPOT_TOKEN", "none"))
    end

    # @return [String] made at the first start and kept with the data
    def secret_key_base
      ENV.fetch("SECRET_KEY_BASE") do
        File.open(data_dir.join("secret_key_base"), File::RDWR | File::CREAT, 0o600) do |file|
          file.flock(File::LOCK_EX)
          file.read.presence || SecureRandom.hex(64).tap { |key| file.write(key) }
        end
      end
    end
  end
end
