# frozen_string_literal: true

module Vidcache
  # What a queue of Active Job's cannot do, of what the worker's job asks of it: to keep a job over a restart, and to
  # keep it for later. ADR 25 has what each of them was tried with.
  #
  # @api private
  module JobQueue
    NOT_LATER = "so changes of email are told by the hourly vidcache:reconcile alone"
    NOT_KEPT = "keeps its jobs in this process's memory, and each restart loses them"

    # By the name of the adapter's class.
    LATER = {
      "InlineAdapter" => -> { "cannot wait, #{NOT_LATER}" },
      "SneakersAdapter" => -> { "cannot keep a job for later, #{NOT_LATER}" },
      "ResqueAdapter" => lambda do
        "cannot keep a job for later without the gem resque-scheduler, #{NOT_LATER}" unless ::Resque.respond_to?(:enqueue_at_with_queue)
      end
    }.freeze
    KEPT = %w[AsyncAdapter SuckerPunchAdapter].freeze
    private_constant :NOT_LATER, :NOT_KEPT, :LATER, :KEPT

    module_function

    # @param adapter [Object] a queue of Active Job's
    # @return [String, nil] what it lacks, as the end of a sentence about it
    def lacks(adapter)
      not_later(adapter) || (NOT_KEPT if KEPT.include?(kind(adapter)))
    end

    # @param adapter [Object]
    # @return [String, nil] why it has no job for later
    def not_later(adapter)
      LATER[kind(adapter)]&.call
    end

    # @param job [Class] of Active Job
    # @param lacks [String] the end of the sentence
    # @return [String]
    def sentence(job, lacks)
      "config.active_job.queue_adapter is :#{job.queue_adapter_name}, which #{lacks}"
    end

    # By its own name alone: a queue that inherits of one of these may be another thing.
    def kind(adapter)
      adapter.class.name.to_s[/[^:]*\z/]
    end
    private_class_method :kind
  end
end
