# frozen_string_literal: true

module Vidcache
  # Looks at the file once when a server boots, or a worker of a queue: where it cannot be opened, whoever is on call
  # hears of it then, and not from the first user whose save is refused. Not in consoles, generators or tasks such as
  # `assets:precompile`, which may run where there is no file at all, or as another user.
  #
  # @api private
  module Boot
    # Programs that serve requests or run jobs, as they are called or call themselves.
    SERVERS = /\A(?:puma|pumactl|unicorn(?:_rails)?|rainbows|thin|falcon|iodine|rackup|sidekiq\w*|resque\w*|good_job|
                  delayed_job|shoryuken|que|sneakers|jobs)\b/x
    # Tasks that do so.
    WORKERS = /\A(?:resque|jobs|solid_queue|good_job|que|sneakers):(?:work|workers|workoff|start|run)\b/

    private_constant :SERVERS, :WORKERS

    module_function

    # @return [Boolean] whether this process serves requests or runs jobs
    def server?
      return tasks.any?(WORKERS) if File.basename($0) == "rake" || tasks.any?

      return true if defined?(::Rails::Server) || defined?(::PhusionPassenger)

      File.basename($0[/\A\S*/].to_s).match?(SERVERS)
    end

    # Opens the file, and reads of it. Never raises.
    #
    # @return [void]
    def look
      return unless Portals.anywhere? && server?

      look_at_models
      look_at_the_store if Vidcache.configured? # Those of several portals are opened as they are used.
    rescue StandardError, NotImplementedError => e
      what = Vidcache.settings.database? ? "the database" : "the file"
      Failure.report(e, during: "#{what} cannot be used, so pages go out without HubSpot's tracking code, and #{saves}")
    end

    def saves
      return "users are saved without it" if Vidcache.settings.when_unavailable == :save

      "whoever signs up or saves an email is shown an error"
    end

    def look_at_the_store
      Vidcache.in_database? ? Vidcache.cache.look : Vidcache.cache.resolve(0)
    end

    # Looks at the models that are loaded: in production all.
    def look_at_models
      Keys.models.flat_map { |model| Check.model(model) }.concat(queues).uniq.each do |problem|
        Failure.report(NotConfigured.new(problem), during: "`has_vid` cannot work as it is")
      end
    rescue ::ActiveRecord::ActiveRecordError => e
      Failure.report(e, during: "the models were not looked at")
    end

    # Queues that have no job for later. Rake loads no model beforehand, and workers are tasks of Rake's.
    def queues
      jobs = Keys.models.map { |model| model.vidcache_job.to_s }.presence || %w[HubspotContactJob]
      jobs.uniq.filter_map do |name|
        job = name.safe_constantize || ActiveJob::Base
        why = JobQueue.not_later(job.queue_adapter) and JobQueue.sentence(job, why)
      end
    end

    # @return [Array<String>] of rake
    def tasks
      defined?(::Rake) && ::Rake.respond_to?(:application) ? ::Rake.application.top_level_tasks.map(&:to_s) : []
    rescue StandardError
      []
    end

    private_class_method :saves, :tasks, :look_at_the_store, :look_at_models, :queues
  end
end
