# frozen_string_literal: true

require "socket"

module Vidcache
  # What the operators' page shows, for programs: as a Rack app for the routes, in Prometheus' text format, or as values
  # for an exporter of the app's own.
  #
  #     get "/metrics/vidcache", to: Vidcache::Metrics   # config/routes.rb, where nobody but Prometheus comes
  #
  # Each has one name in two forms, which docs/operations.md lists: OpenTelemetry's (`vidcache.oldest_change`, in `s`)
  # and, by OpenTelemetry's own rules, Prometheus' (`vidcache_oldest_change_seconds`). Nothing of it names a user.
  # Counts of what waits are of the file, so of all processes, and end at 10,000; what came (answers, webhooks, jobs) is
  # of all processes that share `Rails.cache`; look-ups and pages are of the process that answers, as its label says.
  module Metrics
    # One of them: `name` (String, OpenTelemetry's), `kind` (`:counter` or `:gauge`), `unit` (`"s"`, `"By"` or nil),
    # `help` (String), and `points`, a Hash of numbers by their labels, each a Hash too.
    Metric = Struct.new(:name, :kind, :unit, :help, :points) do
      # @return [String] Prometheus'
      def prometheus_name
        unit_name = { "s" => "_seconds", "By" => "_bytes" }[unit]
        "#{name.tr(".", "_")}#{unit_name}#{"_total" if kind == :counter}"
      end
    end

    # Of a process, by the name in {Cache#stats} or {Database#stats}.
    OF_A_PROCESS = { hits: [:counter, nil, "Look-ups answered from memory."],
                     misses: [:counter, nil, "Look-ups that read the file."],
                     syncs: [:counter, nil, "Times that commits were taken note of."],
                     evictions: [:counter, nil, "Users put out of memory to make room."],
                     reopened: [:counter, nil, "Times that the file was replaced or deleted under the process."],
                     entries: [:gauge, nil, "Users in memory."],
                     looks: [:counter, nil, "Times that memory was brought up to date with the app's database."],
                     forgotten: [:counter, nil, "Times that memory was emptied, since the app's database may have forgotten something."],
                     asks: [:counter, nil, "Pages that asked the app's database."],
                     stale: [:counter, nil, "Pages that said less since the database did not answer."] }.freeze
    # What came, by the name in {Pulse}.
    EVENTS = { "answers" => "Answers of HubSpot's that were recorded.", "webhooks" => "Webhooks that were taken in.",
               "refused_webhooks" => "Webhooks that were refused.", "jobs" => "Jobs that told HubSpot.",
               "failed_jobs" => "Jobs that failed.", "conflicts" => "Conflicts that were found.",
               "reconciles" => "Reconciles that are done." }.freeze
    private_constant :OF_A_PROCESS, :EVENTS

    class << self
      # @return [Array<Metric>] what is known of; one that nothing is known of is left out
      # @raise [Vidcache::Error]
      def read
        of_files = Portals.each { |portal| of_a_file(portal ? { "portal" => portal.to_s } : {}) }
        together = of_files.flatten.group_by(&:name).map do |_, same|
          same.first.dup.tap { |metric| metric.points = same.map(&:points).reduce(:merge) }
        end
        [*together, *lately].reject { |metric| metric.points.empty? }
      end

      # @return [String] in Prometheus' text format
      # @raise [Vidcache::Error]
      def text
        read.map { |metric| family(metric) }.join
      end

      # @param _env [Hash] a Rack environment
      # @return [Array] a Rack response; 503 and the error's code where the file cannot be asked
      def call(_env)
        answer(200, text)
      rescue Error => e
        answer(503, "#{e.code || :error}\n")
      end

      private

      def answer(status, text)
        [status, { "Content-Type" => "text/plain; version=0.0.4; charset=utf-8", "Cache-Control" => "no-store" }, [text]]
      end

      # What one file, or one portal's tables, tell.
      def of_a_file(labels)
        [*waiting, *place, *process].each { |metric| metric.points = metric.points.transform_keys { |others| labels.merge(others) } }
      end

      def waiting
        counts = Counts.new(Counts::FOR_PROGRAMS)
        unlinked = Explanation::Traces.last_unlinked
        [gauge("changes_outstanding", "Changes of emails on their way, up to 10000.", counts.changes.size),
         gauge("oldest_change", "For how long the oldest of them has been.", counts.oldest_change, "s"),
         gauge("unconfirmed_users", "Users whose email HubSpot has not confirmed, up to 10000.", counts.unconfirmed),
         gauge("long_ago_users", "Users whose contact nobody has read for 30 days, up to 10000.", counts.confirmed_long_ago),
         gauge("conflicts", "Users in conflict over an email or a contact, up to 10000.", counts.conflicts.size),
         gauge("unlinked_users", "Users without a contact for longer than an hour, at the last reconcile.", unlinked && unlinked["users"])]
      end

      def lately
        totals = Pulse.totals
        seen = Pulse.lately
        came = EVENTS.map do |what, help|
          counter(what == "conflicts" ? "found_conflicts" : what, help, totals.key?(what) ? { {} => totals[what] } : {})
        end
        pages = Pulse.counts.select { |reason, _| reason.is_a?(Symbol) }.transform_keys { |reason| own.merge("reason" => reason.to_s) }
        last = seen.filter_map { |what, known| [{ "what" => what }, known["at"]] if known["at"] }.to_h
        [*came, counter("pages", "Pages, by what decided what they say.", pages),
         Metric.new("vidcache.last", :gauge, "s", "When each last happened, in seconds since 1970.", last),
         gauge("hosts", "Hosts that were heard of within the last day.", Pulse.hosts.size)]
      end

      def place
        return [] if Vidcache.in_database?

        path = Vidcache.settings.path.to_s
        [gauge("file", "The size of the file.", File.size?(path), "By"),
         gauge("log", "The size of the log beside the file.", Vidcache.cache.stats[:log_bytes], "By")]
      end

      def process
        labels = own
        stats = Vidcache.cache.stats
        of_it = OF_A_PROCESS.map do |name, (kind, unit, help)|
          Metric.new("vidcache.#{name}", kind, unit, help, stats[name] ? { labels => stats[name] } : {})
        end
        memory = Metric.new("vidcache.memory", :gauge, "By", "What the table in memory takes.", stats[:bytes] ? { labels => stats[:bytes] } : {})
        fallback = stats.slice(:fallback).to_h { |_, why| [labels, why ? 1 : 0] }
        slow = Metric.new("vidcache.fallback", :gauge, nil, "Whether every look-up reads the file.", fallback)
        [*of_it, memory, slow]
      end

      def own
        { "host" => Socket.gethostname, "process" => Process.pid.to_s }
      end

      def gauge(name, help, value, unit = nil)
        Metric.new("vidcache.#{name}", :gauge, unit, help, value ? { {} => value } : {})
      end

      def counter(name, help, points)
        Metric.new("vidcache.#{name}", :counter, nil, help, points)
      end

      def family(metric)
        name = metric.prometheus_name
        lines = metric.points.map do |labels, value|
          said = labels.map { |label, of| %(#{label}="#{of.gsub(/["\\\n]/, { '"' => '\"', "\\" => "\\\\", "\n" => '\n' })}") }
          "#{name}#{"{#{said.join(",")}}" if said.any?} #{value}\n"
        end
        "# HELP #{name} #{metric.help}\n# TYPE #{name} #{metric.kind}\n#{lines.join}"
      end
    end
  end
end
