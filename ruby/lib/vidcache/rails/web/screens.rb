# frozen_string_literal: true

require "json"
require "vidcache/rails/counts"
require "vidcache/rails/web/people"
require "vidcache/rails/web/place"

module Vidcache
  class Web
    # What each screen of the operators' page shows, as data: of HTML and of JSON alike. None of it is an email.
    #
    # @api private
    class Screens
      # How many rows of a list the overview shows, and a list by itself.
      FEW = 5
      MANY = 200
      # How many of the newest users are looked at for those without a contact, and since when they are too long.
      NEWEST = 1000
      HOUR = 3600
      private_constant :FEW, :MANY, :NEWEST, :HOUR

      def initialize(visit)
        @visit = visit
        @cache = Vidcache.cache
      end

      def overview
        counts = Counts.new
        Pulse.sample(counts.sample)
        stats = @cache.stats
        { portal: @cache.portal_id, at_most: counts.at_most,
          now: counts.sample.merge("confirmed_long_ago" => counts.confirmed_long_ago),
          oldest_change: counts.oldest_change, changes: counts.changes.first(FEW).map { |change| change_of(change) },
          conflicts: counts.conflicts.first(FEW).map { |conflict| conflict_of(conflict) },
          confirmations: { oldest: counts.oldest_confirmation, long_ago: counts.confirmed_long_ago },
          unlinked: unlinked_sample, day: day, lately: Pulse.lately, hosts: hosts, pages: pages,
          process: stats.merge(hit_rate: hit_rate(stats)), file: file }
      end

      def changes
        found = @cache.stale_changes(older_than: 0, limit: MANY)
        { changes: found.map { |change| change_of(change) }, more: found.size == MANY, quiet_period: Vidcache.settings.quiet_period }
      end

      def conflicts
        found = @cache.conflicts(limit: MANY)
        { conflicts: found.map { |conflict| conflict_of(conflict) }, more: found.size == MANY }
      end

      def unlinked
        before = Time.now - HOUR
        found = People.models.flat_map { |model| People.unlinked(model, NEWEST, before).map { |user| unlinked_of(model, user) } }
        { unlinked: found.first(MANY), more: found.size > MANY, looked_at: NEWEST, reconcile: unlinked_sample }
      end

      def user
        key = @visit.user_key
        user = People.by_key(key)
        held = JSON.parse(@cache.export(user ? user.vidcache_key : key))
        log, said = explained(user, key).partition { |sentence| sentence.start_with?("Log: ") }
        { user: held["user"], in_the_app: user ? user.class.name : nil, page: page_of(user, key), explain: said,
          history: log.map { |line| line.delete_prefix("Log: ") }.reverse, held: without_fingerprints(held), last_job: job_of(key),
          done: DONE[@visit.field("done")] }
      rescue InvalidUserKey => e
        raise Stop.new(400, e.message)
      end

      def contact
        vid = @visit.vid("id")
        { contact: vid, users: @cache.users_of(vid) }
      end

      def confirm_forget
        key = @visit.user_key
        { user: key, in_the_app: People.by_key(key)&.class&.name, contact: @cache.resolve(key) }
      rescue InvalidUserKey => e
        raise Stop.new(400, e.message)
      end

      def confirm_merge
        conflict = Screens.conflict(@visit.user_key)
        whole = conflict_of(conflict)
        raise Stop.new(409, "There are no two contacts to merge: of this conflict one is not known.") unless conflict.vid && conflict.holder

        whole.merge(own_users: @cache.users_of(conflict.vid) - [conflict.user_id], external_id: Screens.external_id(conflict.user_id))
      end

      # @param key [String]
      # @return [Conflict]
      # @raise [Stop]
      def self.conflict(key)
        held = JSON.parse(Vidcache.cache.export(key))["conflict"] or raise Stop.new(404, "That user has no conflict: it is over, or there was none.")
        vid = Vidcache.cache.resolve(key)
        Conflict.new(key, vid, held["holder"]&.to_i, held["why"].to_sym, Time.at(held["since"] / 1000.0))
      rescue InvalidUserKey => e
        raise Stop.new(400, e.message)
      end

      # @return [String, nil] what pages give as the user's id, whatever is merged
      def self.external_id(key)
        Vidcache.cache.decide(key, nil).as_json["id"]
      end

      # What was done, by what its address says of it.
      DONE = { "read" => "HubSpot was asked, and what it said is recorded.", "retry" => "A job is on its way.",
               "forget" => "All that was held on this user is forgotten.", "merge" => "The two contacts are one now." }.freeze

      private

      def change_of(change)
        { user: change.user_id, begun: change.begun_at, last_job: job_of(change.user_id) }
      end

      def conflict_of(conflict)
        { user: conflict.user_id, contact: conflict.vid, other: conflict.holder, why: conflict.why, since: conflict.since,
          others_users: conflict.holder ? @cache.users_of(conflict.holder) : [] }
      end

      def unlinked_of(model, user)
        { user: user.vidcache_key.to_s, model: model.name, signed_up: user.vidcache_made_at,
          last_job: job_of(user.vidcache_key) }
      end

      # Why the last try of the user's job failed, in this library's words or as the class of the error.
      def job_of(key)
        trace = Explanation::Traces.read("job/#{key}")
        trace.is_a?(Hash) ? { error: trace["error"].to_s, at: Time.at(trace["at"].to_i) } : nil
      end

      def page_of(user, key)
        decision = user ? user.vidcache_decision : @cache.decide(key, nil)
        { names_the_email: !decision.email.nil?, id: decision.as_json["id"], reason: decision.reason }
      end

      # HubSpot is not asked: that takes seconds, and a button does it.
      def explained(user, key)
        model = user&.class || People.models.first or return @cache.explain(key, nil)
        Explanation.new(model, id: key, ask: false).sentences
      end

      # Fingerprints are held, and `export` gives them. A page that is copied into a ticket needs none.
      def without_fingerprints(held)
        contact = held["contact"]&.reject { |name, _| %w[email_fingerprint secondary].include?(name) }
        held.merge("contact" => contact).except("log")
      end

      def unlinked_sample
        trace = Explanation::Traces.last_unlinked
        trace.is_a?(Hash) ? { users: trace["users"], at: Time.at(trace["at"].to_i) } : nil
      end

      def day
        Pulse.samples.map { |at, sample| { at: Time.at(at), **sample.transform_keys(&:to_sym) } }
      end

      def hosts
        Pulse.hosts.map { |name, at| { name: name, at: Time.at(at) } }.sort_by { |host| host[:name] }
      end

      # Of this process, since it began.
      def pages
        Pulse.counts.select { |name, _| name.is_a?(Symbol) }
      end

      # Where the rows are in the app's database, every page asks it, unless answers are kept.
      def hit_rate(stats)
        return unless stats[:hits]

        all = stats[:hits] + (stats[:misses] || stats[:asks])
        (stats[:hits].to_f / all).round(4) if all.positive?
      end

      def file
        return if Vidcache.in_database?

        place = Place.new(Vidcache.settings.path)
        place.size.merge(open_by: place.open_by)
      end
    end
  end
end
