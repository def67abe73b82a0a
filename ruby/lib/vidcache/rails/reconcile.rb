# frozen_string_literal: true

require "vidcache/rails/contact_reader"
require "vidcache/rails/counts"
require "vidcache/rails/gone_contacts"
require "vidcache/rails/unlinked"

module Vidcache
  # The standing work that leaves nobody unnamed, whatever was lost: a job, a webhook, the file. Hourly, as
  # {ReconcileJob} or `rails vidcache:reconcile`. Each run begins where there is something to do, so one that is broken
  # off, or runs twice, harms nothing.
  #
  # 1. Contacts are read whose email HubSpot has not confirmed: after an import, a merge, a deletion, a restoration, a
  #    404; and those that were last confirmed long ago, since a webhook may have been lost. Whose contact HubSpot has
  #    no more, twice some seconds apart, is looked for by their email, and linked to the contact that is found
  #    ({GoneContacts}).
  # 2. Changes whose job was lost get another ({Model::ClassMethods#retry_email_changes}).
  # 3. Users who are not linked to a contact are looked for by their emails, and linked. Those who are not found and
  #    cannot have one ({ContactJob::Creating}) get the model's job, which makes one; with `create: true` all of them do
  #    ({Unlinked}).
  # 4. Conflicts are looked at, both contacts of each: they are over when the two were merged or the user is agreed;
  #    where the other contact has let the email go, HubSpot is told of it again, after a quiet period. Nothing is
  #    merged by this.
  class Reconcile
    # Seconds. Who has no email at HubSpot is asked for again after this.
    AGAIN = 86_400

    # Seconds after which what HubSpot confirmed is read again.
    OLD = 30 * 86_400

    # Seconds that a new user's own job has, before another one is made.
    GRACE = 3600

    # How many users are looked up at once.
    SCAN = 10_000

    private_constant :SCAN

    # @param model [Class, nil] with `has_vid`; without one contacts are read, and that is all
    # @param rate [Numeric] the most calls to HubSpot a second
    # @param again [Numeric] seconds: {AGAIN}
    # @param old [Numeric] seconds: {OLD}
    # @param grace [Numeric] seconds: {GRACE}, for changes too
    # @param create [Boolean] whether jobs make contacts for users whom they do not find: after a file was lost these
    #   may be second ones
    def initialize(model = nil, rate: 5, again: AGAIN, old: OLD, grace: GRACE, create: false)
      @model = model
      @create = create
      @again = again
      @old = old
      @grace = grace
      @reader = ContactReader.new(rate: rate)
      @cache = Vidcache.cache # Raises before anything is read if there is none.
      @gone = GoneContacts.new(model, @reader) if model
    end

    # @return [Hash{Symbol => Integer}] how many contacts were read and by how many calls, how many changes got a job,
    #   how many users were linked or got one, how many conflicts are over
    # @raise [Vidcache::Error, SystemCallError, Timeout::Error] after the changes got their jobs
    def run
      counts = { read: 0, calls: 0, changes: 0, users: 0, conflicts: 0 }
      counts.update(changes: @model.retry_email_changes(older_than: @grace, create: @create), users: find_unlinked) if @model
      counts[:read] = read_unconfirmed + read_old
      counts[:conflicts] = look_at_conflicts if @model
      @gone&.look_up
      counts[:calls] = @reader.calls
      tell(counts) if @model
      counts
    end

    # @return [Integer] how many contacts were read
    def read_unconfirmed
      read_all(confirmed: false, older_than: @again)
    end

    # @return [Integer] how many contacts were read
    def read_old
      read_all(confirmed: true, older_than: @old)
    end

    # @return [Integer] how many users were linked, or got a job
    def find_unlinked
      # Whose contact is another user's: a job would be told so again.
      taken = each_conflict.filter_map { |conflict| conflict.user_id if conflict.why == :vid_taken }
      unlinked = Unlinked.new(@model, @reader, create: @create)
      found = 0
      @unlinked = 0
      each_unlinked do |ids|
        users = @model.where(@model.primary_key => ids)
                      .reject { |user| new?(user) || taken.include?(user.vidcache_key.to_s) || !user.vidcache_in_portal? }
        @unlinked += users.count(&:vidcache_email)
        found += unlinked.find(users)
      end
      found
    end

    # @return [Integer] how many conflicts are over
    def look_at_conflicts
      before = 0
      each_conflict.each_slice(ContactReader::BATCH / 2) do |conflicts|
        before += conflicts.size
        ids = conflicts.flat_map { |conflict| [conflict.vid, conflict.holder] }.compact.uniq
        found = ids.empty? ? {} : @reader.read(ids)
        conflicts.each { |conflict| look_at(conflict, found) }
      end
      before - each_conflict.count
    end

    private

    # For who watches, and for the operators' page: no failure of that is one of the reconcile's.
    def tell(counts)
      ActiveSupport::Notifications.instrument("reconcile.vidcache", counts.merge(unlinked: @unlinked))
      Explanation::Traces.unlinked(@unlinked)
      Pulse.sample(Counts.new(Counts::FOR_PROGRAMS).sample)
    end

    def look_at(conflict, found)
      user = @model.find_vidcache_user(conflict.user_id) or return
      return @cache.end_conflict(conflict.user_id) if user.vidcache_decision.reason == :agreed

      email = user.vidcache_email&.downcase
      return unless conflict.why == :email_held && conflict.vid && conflict.holder && email
      return if found.fetch(conflict.holder, []).include?(email) || user.vidcache_decision.reason == :change_outstanding

      token = @cache.begin_email_change(user.vidcache_key)
      @model.enqueue_vidcache_job(user, token, wait: Vidcache.settings.quiet_period, creates: @create)
    end

    def each_conflict(&block)
      return to_enum(:each_conflict) unless block

      last = nil
      until (conflicts = @cache.conflicts(after: last, limit: 1000)).empty?
        conflicts.each(&block)
        last = conflicts.last
      end
    end

    # Reads the users who are to be read as of its beginning: whoever is read meanwhile does not come again.
    def read_all(confirmed:, older_than:)
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      read = 0
      last = nil
      loop do
        age = older_than + Process.clock_gettime(Process::CLOCK_MONOTONIC) - began + 0.002
        users = @cache.users_to_read(confirmed: confirmed, older_than: age, after: last, limit: ContactReader::BATCH)
        return read if users.empty?

        vids = users.map(&:vid)
        found = @reader.read(vids)
        @gone&.add(vids - found.keys)
        read += users.size
        last = users.last
      end
    end

    # Yields the primary keys of users who are linked to no contact, some at a time. Nothing but keys is read of the
    # others.
    def each_unlinked(&block)
      id = @model.primary_key
      return each_unlinked_of_several_columns(&block) if id.is_a?(Array)

      key = key_column
      scope = @model.vidcache_rows.unscope(:order).order(id => :asc).limit(SCAN)
      last = nil
      loop do
        batch = last ? scope.where(@model.arel_table[id].gt(last)) : scope
        ids, keys = key ? pluck(batch, id, key) : load(batch, id)
        return if ids.empty?

        unlinked = ids.zip(@cache.resolve_many(keys)).filter_map { |user, vid| user unless vid }
        unlinked.each_slice(1000, &block)
        last = ids.last
      end
    end

    # Whole rows, as Rails reads them in batches.
    def each_unlinked_of_several_columns
      @model.vidcache_rows.find_in_batches(batch_size: 1000) do |users|
        ids = users.zip(@cache.resolve_many(users.map(&:vidcache_key))).filter_map { |user, vid| user.id unless vid }
        yield ids if ids.any?
      end
    end

    # @return [String, nil] nil: a method gives the key
    def key_column
      name = @model.vidcache_key_method.to_s
      name = @model.primary_key if name == "id"
      name = @model.attribute_aliases.fetch(name, name)
      # Of an attribute that the model overrides, the method counts.
      name if @model.column_names.include?(name) && !Keys.overridden?(@model, @model.vidcache_key_method)
    end

    def pluck(batch, id, key)
      return Array.new(2, batch.pluck(id)) if key == id

      pairs = batch.pluck(id, key)
      [pairs.map(&:first), pairs.map(&:last)]
    end

    def load(batch, id)
      users = batch.to_a
      [users.map { |user| user[id] }, users.map(&:vidcache_key)]
    end

    def new?(user)
      made_at = user.vidcache_made_at
      made_at && made_at > Time.now - @grace
    end
  end
end
