# frozen_string_literal: true

if Shop.sidekiq?
  # Debian 12's Sidekiq 6.4 calls its redis gem 4.8 in ways that the gem remarks on every two seconds.
  Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)

  redis = { url: ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379/0") }
  Sidekiq.configure_client { |config| config.redis = redis }
  Sidekiq.configure_server do |config|
    config.redis = redis
    # How often it looks for jobs whose wait is over; the default suits a fleet of many processes. (Sidekiq 7 has the
    # options in `config`.)
    options = config.respond_to?(:options) ? config.options : config
    options[:poll_interval_average] = 0.5
  end
end
