# frozen_string_literal: true

require "active_job"

module Vidcache
  # The queue of a task: where Active Job keeps its jobs in the memory of the process (`:async`, as a new app has it), a
  # task that ends would take its jobs with it, and where it keeps none for later (`:inline`, Resque without
  # resque-scheduler) a change would wait for the next task. So the task performs them itself, each when it is due, and
  # says so.
  #
  # @api private
  class TaskQueue
    # Seconds: what is due later is left to the next run.
    PATIENCE = 60

    SAY_EVERY = 1000
    private_constant :SAY_EVERY

    # @param model [Class] whose job it is
    # @param output [IO]
    # @yield enqueues jobs
    # @return [Object] what the block returns
    def self.around(model, output)
      job = model.vidcache_job_class
      kept_in = job.queue_adapter
      return yield unless lost?(kept_in)

      begin
        job.queue_adapter = queue = new(output)
        yield.tap { queue.perform_all }
      ensure
        job.queue_adapter = kept_in
      end
    end

    def self.lost?(adapter)
      !JobQueue.lacks(adapter).nil?
    end
    private_class_method :lost?

    # @param output [IO]
    def initialize(output)
      @output = output
      @jobs = []
      @numbers = 0
    end

    # @!group What Active Job asks of a queue

    def enqueue(job)
      enqueue_at(job, 0)
    end

    def enqueue_at(job, at)
      due = [at.to_f, @numbers += 1]
      @jobs.insert(@jobs.bsearch_index { |other, _| (other <=> due).positive? } || @jobs.size, [due, job.serialize])
    end

    def enqueue_after_transaction_commit?
      false
    end

    # @!endgroup

    # Says how many jobs were performed, and what became of the others.
    # @return [void]
    def perform_all
      return if @jobs.empty?

      @output.puts "vidcache: config.active_job.queue_adapter would lose these jobs with this task, so the task performs them itself"
      performed = failed = 0
      until @jobs.empty?
        (at,), job = @jobs.first
        break if at > Time.now.to_f + PATIENCE

        @jobs.shift
        sleep([at - Time.now.to_f, 0].max)
        perform(job) ? performed += 1 : failed += 1
        @output.puts "vidcache: #{performed + failed} jobs performed" if ((performed + failed) % SAY_EVERY).zero?
      end
      said = "#{performed} jobs were performed"
      said += ", #{failed} failed" if failed.positive?
      said += ", #{@jobs.size} have to wait and are left to the next vidcache:reconcile" if @jobs.any?
      @output.puts "vidcache: #{said}"
    end

    private

    def perform(job)
      ActiveJob::Base.execute(job)
      true
    rescue StandardError => e
      Failure.report(e, during: "a job failed for good")
      false
    end
  end
end
