# frozen_string_literal: true

require "rails/railtie"
require "vidcache/rails"

module Vidcache
  # `config.vidcache`, and its way into models and views.
  #
  # | setting | default |
  # | --- | --- |
  # | `portal_id` | none: without it nothing is opened, rendered or tracked |
  # | `portals` | none: all portals, or a Proc that returns them, where each tenant has its own (`has_vid portal:`) |
  # | `store` | `:file`; `:database`: the app's own PostgreSQL, where processes share no disk ({Database}) |
  # | `path` | `storage/hubspot.vidcache` under the app's root, elsewhere than in production with the environment in its name; its folder is made |
  # | `secret` | derived from `secret_key_base` (see {Settings#secret}) |
  # | `old_secrets`, `old_secret_key_bases` | none: what those were before a rotation (see {Settings#old_secrets}) |
  # | `max_age` | 0: with `store = :database` each page asks; from 1 s to half of `page_deadline`: answers are kept for so long |
  # | `page_deadline` | 10 s: how long after it was rendered a page may still name an email |
  # | `quiet_period` | what the file asks for: the longest `page_deadline` of the last day + 5 s (see {Settings#quiet_period}) |
  # | `synchronous` | `:full` |
  # | `busy_timeout` | 5 s |
  # | `memory` | 32 MiB: the most that the table of a process takes |
  # | `access_token` | none: of a private app, for {ContactJob} |
  # | `client_secret` | none: what webhooks are signed with, for {Webhook} |
  # | `webhook_url` | as the request says, and in production none, with a warning: the whole address that HubSpot calls, for {Webhook} |
  # | `webhook_signatures` | `%w[v3]`: the versions of signatures that webhooks may have (see {Webhook}) |
  # | `trust_proxy` | false: whether the proxy in front sets `Forwarded` or `X-Forwarded-Host` itself (see {WebhookAddress}) |
  # | `when_unavailable` | `:raise`, in development `:save`: what becomes of a user's save while the file cannot be used ({Unavailable}) |
  # | `api_url` | HubSpot's, for {ContactJob} |
  # | `api_path` | `/crm/v3/objects/contacts`, for {ContactJob} |
  # | `respect_do_not_track` | false: whether browsers that say `DNT: 1` or `Sec-GPC: 1` get no tracking code |
  # | `no_store` | true: pages that carry an identity are sent with `private, no-store`. false: with `private, no-cache` |
  # | `loader_host` | `js.hs-scripts.com`, and a warning in production; the one in the portal's own embed code (Settings, Tracking code) |
  #
  # `no-store` keeps a page from the browser's back/forward cache too. Without it the page's script alone keeps an old
  # page from naming an email, by what the browser says of where the page comes from, which Firefox does not for a 304:
  # so there is none.
  class Railtie < ::Rails::Railtie
    config.vidcache = Settings::Options.new

    initializer "vidcache.active_record" do
      ActiveSupport.on_load(:active_record) { extend Vidcache::Model::Macro }
    end

    initializer "vidcache.reloading" do |app|
      app.reloader.before_class_unload { Vidcache::Keys.clear }
    end

    initializer "vidcache.action_view" do
      ActiveSupport.on_load(:action_view) { include Vidcache::ViewHelper }
    end

    # `vidcache.js` for the app's own pages, by Propshaft or Sprockets: `pin "vidcache"`, `javascript_include_tag
    # "vidcache.classic"`.
    initializer "vidcache.assets" do |app|
      if app.config.respond_to?(:assets)
        app.config.assets.paths << File.dirname(Vidcache.page_script_path)
        app.config.assets.precompile += %w[vidcache.js vidcache.classic.js]
      end
    end

    # Controllers get them as private methods, so no request can name one of them as its action.
    initializer "vidcache.action_controller" do
      ActiveSupport.on_load(:action_controller) do
        include Vidcache::TrackingData
        prepend Vidcache::CachesTold::NotKept
        private(*Vidcache::TrackingData.public_instance_methods(false)) # rubocop:disable Style/AccessModifierDeclarations
      end
      ActiveSupport.on_load(:action_dispatch_response) { prepend Vidcache::CachesTold }
    end

    initializer "vidcache.log_subscriber", after: :initialize_logger do
      Vidcache::Instrumentation::LogSubscriber.attach_to(:vidcache)
      Vidcache::Instrumentation::PageLogSubscriber.attach_to(:vidcache) if ::Rails.logger&.debug?
    end

    initializer "vidcache.pulse" do
      Vidcache::Pulse.listen
    end

    # What of a webhook's body is personal. Nothing of it is a parameter of Rails' as long as the webhook is a Rack app,
    # but error services that show a request's body filter it by this list. The job's arguments are the user's global id
    # and a number.
    initializer "vidcache.filter_parameters" do |app|
      app.config.filter_parameters += [:propertyValue]
    end

    rake_tasks { load "vidcache/rails/tasks.rake" }

    # After the app's own initializers, where `config.vidcache` is usually set. The file is opened by servers alone
    # ({Boot}), and else at its first use, so that `rails assets:precompile` and the like need none.
    config.after_initialize do |app|
      Vidcache.settings = Settings.new(app).check.advise
      Boot.look
    end
  end
end
