# frozen_string_literal: true

require_relative "boot"

require "rails"
require "active_record/railtie"
require "active_job/railtie"
require "action_controller/railtie"
require "action_view/railtie"

Bundler.require(*Rails.groups)

require_relative "../lib/shop"

# A shop whose customers can sign in and change their email.
module Shop
  class Application < Rails::Application
    config.load_defaults 6.1
    config.root = File.expand_path("..", __dir__)
    config.paths["log"] = Shop.data_dir.join("log/#{Rails.env}.log").to_s
    config.paths["tmp"] = Shop.data_dir.join("tmp").to_s

    config.secret_key_base = Shop.secret_key_base
    config.session_store :cookie_store, key: "_shop_session"
    config.filter_parameters += %i[email login]
    config.public_file_server.enabled = true

    config.active_record.dump_schema_after_migration = false
    # A pool of its own in each process. The jobs end with their process: that is what Sidekiq is for.
    config.active_job.queue_adapter =
      Shop.sidekiq? ? :sidekiq : ActiveJob::QueueAdapters::AsyncAdapter.new(max_threads: 5)
  end
end
