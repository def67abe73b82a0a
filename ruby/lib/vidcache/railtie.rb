# frozen_string_literal: true

require "rails/railtie"
require "vidcache/rails"

module Vidcache
  # `config.vidcache`, and its way into models and views.
  #
  # | setting | default |
  # | --- | --- |
  # | `portal_id` | none: without it nothing is opened, rendered or tracked |
  # | `path` | `storage/hubspot.vidcache` under the app's root; its folder is made |
  # | `secret` | derived from `secret_key_base` (see {Settings#secret}) |
  # | `page_deadline` | 10 s: how long after it was rendered a page may still name an email |
  # | `quiet_period` | `page_deadline` + 5 s: how long the worker waits before it tells HubSpot of a change |
  # | `synchronous` | `:full` |
  # | `busy_timeout` | 5 s |
  # | `access_token` | none: of a private app, for {ContactJob} |
  # | `client_secret` | none: what webhooks are signed with, for {Webhook} |
  # | `webhook_url` | as the request says, for {Webhook} |
  # | `api_url` | HubSpot's, for {ContactJob} |
  # | `respect_do_not_track` | false: whether browsers that say `DNT: 1` or `Sec-GPC: 1` get no tracking code |
  # | `loader_host` | `js.hs-scripts.com`; portals in the EU data centre have `js-eu1.hs-scripts.com` |
  class Railtie < ::Rails::Railtie
    config.vidcache = ActiveSupport::OrderedOptions.new

    initializer "vidcache.active_record" do
      ActiveSupport.on_load(:active_record) { extend Vidcache::Model::Macro }
    end

    initializer "vidcache.action_view" do
      ActiveSupport.on_load(:action_view) { include Vidcache::ViewHelper }
    end

    initializer "vidcache.log_subscriber", after: :initialize_logger do
      Vidcache::Instrumentation::LogSubscriber.attach_to(:vidcache)
      Vidcache::Instrumentation::PageLogSubscriber.attach_to(:vidcache) if ::Rails.logger&.debug?
    end

    rake_tasks { load "vidcache/rails/tasks.rake" }

    # After the app's own initializers, where `config.vidcache` is usually set. The file itself is opened at its first use, so
    # that `rails assets:precompile` and the like need none.
    config.after_initialize do |app|
      Vidcache.settings = Settings.new(app).check
    end
  end
end
