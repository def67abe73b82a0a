# frozen_string_literal: true

module Vidcache
  class Web
    # The file as the system has it: how large it is, and which processes have it open, as far as this process may see
    # them. Nothing is opened for that: whoever else opens the file of this process would be in its way.
    #
    # @api private
    class Place
      # Seconds that looking for processes may take.
      BUDGET = 0.005
      private_constant :BUDGET

      def initialize(path)
        @path = path.to_s
      end

      # @return [Hash{Symbol => Object}] `:path`, `:bytes`, `:log_bytes`; nil where there is no file
      def size
        { path: @path, bytes: File.size?(@path), log_bytes: File.size?("#{@path}-wal") || 0 }
      end

      # @return [Hash{Symbol => Object}, nil] `:processes`, each `{ pid:, name: }`, and `:all`, whether all were looked
      #   at in time. Nil: this system does not say
      def open_by
        return unless File.directory?("/proc/self/fd")

        path = File.realpath(@path)
        from = now
        all = true
        # However long it waited for the processor, the process that asks is looked at.
        found = pids.select do |pid|
          next all = false if pid != Process.pid && now - from > BUDGET

          opens?(pid, path)
        end
        { processes: found.map { |pid| { pid: pid, name: name(pid) } }, all: all }
      rescue SystemCallError
        nil
      end

      private

      # All processes: first the one that asks, and then those that began last.
      def pids
        own = Process.pid
        Dir.children("/proc").grep(/\A\d+\z/).map(&:to_i).sort_by { |pid| [pid == own ? 0 : 1, -pid] }
      end

      def opens?(pid, path)
        Dir.each_child("/proc/#{pid}/fd").any? do |descriptor|
          File.readlink("/proc/#{pid}/fd/#{descriptor}") == path
        rescue SystemCallError
          false
        end
      rescue SystemCallError
        false # Another system user's.
      end

      def name(pid)
        File.read("/proc/#{pid}/comm").strip
      rescue SystemCallError
        nil
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
