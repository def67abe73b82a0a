# frozen_string_literal: true

require "active_support/concern"
require "active_support/core_ext/object/blank"
require "vidcache/rails/condition"
require "vidcache/rails/email_elsewhere"
require "vidcache/rails/forgetting"
require "vidcache/rails/keys"
require "vidcache/rails/portals"
require "vidcache/rails/vid_column"

module Vidcache
  # For the model of the users that HubSpot has contacts for:
  #
  #     class User < ApplicationRecord
  #       has_vid email: :email, job: "HubspotContactJob"
  #     end
  #
  # An update of the email column begins a change before its UPDATE is sent. From then on no page names an email of this
  # user. If the change cannot be begun (the file is locked, the disk is full), the save raises and nothing is written.
  # When the transaction commits, `job.set(wait: quiet_period).perform_later(user, token)` is called; the job tells
  # HubSpot of the user's *current* email and records the answer with `Vidcache.cache.record(user.id, answer, change:
  # token)`. When the transaction, or a savepoint in it, rolls back, the change is abandoned. A new user is enqueued
  # without a wait and with a nil token.
  #
  # {ContactJob} does all that the job has to. One of the app's own has to ask, one job of a user at a time
  # ({Cache#lease}), whether it is still wanted (`user.hubspot_email_due?(change)`).
  #
  # A queue may deliver a job twice, and {ClassMethods#retry_email_changes} makes second ones. Without the question the
  # second would send the email of the user's *next* change, which pages are not done with. For the same reason nothing
  # else may tell HubSpot of a linked user's email: a job that keeps other properties up to date leaves the email out.
  #
  # Each change has its own token and its own job, and every one of them has to finish before a page names an email
  # again. If enqueueing raises, the error reaches the caller of `save` (the row is committed by then) and the change
  # stays outstanding: see {ClassMethods#retry_email_changes}.
  #
  # A user key is one person. A new row whose key the file knows takes nothing over from whoever had it: all that was
  # known is forgotten first, and {KeyReused} is reported. If that fails, the create raises and nothing is written. A
  # user who is destroyed is forgotten once that is committed (`forget: false` leaves it to the app). See {Forgetting}.
  #
  # **What bypasses callbacks bypasses this:** `update_columns`, `update_column`, `update_all`, `insert_all`,
  # `upsert_all` and SQL of your own. Around those, say it yourself, before the write:
  #
  #     token = Vidcache.cache.begin_email_change(user.id)
  #     user.update_columns(email: email)
  #     HubspotContactJob.set(wait: Vidcache.settings.quiet_period).perform_later(user, token)
  #
  # Without `config.vidcache.portal_id` all of this does nothing.
  module Model
    extend ActiveSupport::Concern
    include Condition
    include EmailElsewhere
    include Forgetting
    include Portals
    include VidColumn

    # The most changes that the core can list: all.
    # @api private
    MAX_CHANGES = (2**32) - 1

    # The names that Active Record fills in when it makes a row.
    # @api private
    MADE_AT = %w[created_at created_on].freeze

    # What every Active Record class has before it calls `has_vid`.
    module Macro
      # @param email [Symbol] the attribute (or an alias of it) that holds the email; or, with `told_by:`, a method that
      #   gives it
      # @param told_by [String, :app, nil] where the email is no attribute: the model that says {#has_vid_email_of}, or
      #   the app itself ({EmailElsewhere})
      # @param key [Symbol] the attribute or method that gives the user key: an integer or a string, such as a UUID,
      #   that never changes. Models that share a cache must not share keys: the second one with bare ids raises
      # @param prefix [String, nil] what stands before the key, to tell this model's from another's: `"customer-"`
      # @param job [String, Class] the Active Job class; as a name it may be reloaded
      # @param vid [Symbol, nil] a column of the app's own with HubSpot's contact ids: read where the file knows no
      #   contact of a user, and written whenever an answer is recorded
      # @param forget [Boolean] whether a user who is destroyed is forgotten once that is committed. False keeps what
      #   the file knows for whoever is restored later; {Cache#forget} does it by hand
      # @param portal [Symbol, nil] where each tenant has a HubSpot portal of its own (`config.vidcache.portals`): the
      #   attribute or method that gives the id of this user's, or nil where they have none
      # @param condition [Hash] `if:`, a Symbol or Proc: whether this user's email may be used. Until it says yes no
      #   page names the email and no job tells HubSpot of it
      # @return [void]
      # @raise [ArgumentError] another model's keys are bare ids too; or one of two models says `portal:`; or one says
      #   `vid:` too
      def has_vid(email: :email, key: :id, prefix: nil, job: "HubspotContactJob", vid: nil, forget: true, told_by: nil, portal: nil, **condition) # rubocop:disable Naming/PredicateName
        unknown = condition.keys - [:if]
        raise ArgumentError, "has_vid knows no #{unknown.join(", ")}" if unknown.any?
        raise ArgumentError, Portals::ONE_COLUMN if vid && portal

        include Vidcache::Model
        self.vidcache_email_attribute = email.to_s
        self.vidcache_key_method = key
        self.vidcache_key_prefix = prefix.presence&.to_s
        self.vidcache_job = job
        self.vidcache_vid_attribute = vid&.to_s
        self.vidcache_forget = forget
        self.vidcache_told_by = told_by
        self.vidcache_condition = condition[:if]
        self.vidcache_portal_method = portal
        Keys.claim(self)
        Portals.claim(self)
        prepend(Portals::Within) && extend(Portals::Each) if portal
        VidColumn.add(self) if vid
      end

      # In the model that holds the email of another one, which says `has_vid told_by:` this one ({EmailElsewhere}).
      #
      # @param owner [Symbol] the association, or a method, that gives whose the email is; `:itself` where the email is
      #   made of several columns of one model
      # @return [void]
      def has_vid_email_of(owner) # rubocop:disable Naming/PredicateName
        include Vidcache::EmailElsewhere::Watched
        self.vidcache_email_owner = owner
      end
    end

    included do
      class_attribute :vidcache_email_attribute, :vidcache_key_method, :vidcache_key_prefix, :vidcache_job, instance_accessor: false
      before_update :begin_vidcache_change_of_email
      after_update :begin_vidcache_change_of_email_that_came_late
      after_create :join_vidcache_transaction_of_the_new_row
    end

    class_methods do
      # Enqueues the job anew for every change that has been outstanding for so long that its own job must be lost: the
      # process died between its commit and the job, a queue was emptied, a job ran out of attempts. Call it from a
      # scheduled task, say hourly.
      #
      # @param older_than [Numeric] seconds; longer than a job takes with its retries, and than any transaction of the
      #   app's
      # @param create [Boolean] whether such a job may make a contact where none is found. Only the lost one knew under
      #   which email HubSpot may have the user besides, so it may be a second one
      # @return [Integer] how many jobs were enqueued. Changes of users that are gone are left as they are.
      def retry_email_changes(older_than: 3600, create: false)
        return 0 unless Vidcache.configured?

        seconds = [older_than.to_f, Vidcache.settings.quiet_period].max
        Vidcache.cache.stale_changes(older_than: seconds, limit: MAX_CHANGES).count do |change|
          record = find_vidcache_user(change.user_id)
          enqueue_vidcache_job(record, change.token, creates: create) if record
        end
      end

      # To be overridden where `key` is a method and not a column.
      #
      # @param key [Integer, String]
      # @return [Vidcache::Model, nil]
      def find_by_vidcache_key(key)
        return find_by(vidcache_key_method => key) unless vidcache_key_prefix

        find_by(vidcache_key_method => key.delete_prefix(vidcache_key_prefix)) if key.to_s.start_with?(vidcache_key_prefix)
      end

      # The user of that very key: an integer column finds 6 for another model's "6a1f".
      #
      # @param key [Integer, String]
      # @return [Vidcache::Model, nil]
      # @api private
      def find_vidcache_user(key)
        record = unscoped { find_by_vidcache_key(key) } # Whoever is deleted softly, or of another tenant, is there all the same.
        record if record && record.vidcache_key.to_s == key.to_s && record.vidcache_in_portal?
      end

      # The user of that very address, or of it as HubSpot would write it. No log repeats the address: Active Record
      # logs no statement whose name is `SCHEMA`.
      #
      # @param email [String]
      # @return [Vidcache::Model, nil] nil also where the email is in no column, or the user in another portal than the
      #   one that was said
      # @api private
      def find_vidcache_user_by_email(email)
        return unless vidcache_email_in_row?

        bare = email.to_s.strip
        keys = Array(primary_key)
        [email, bare, bare.downcase].uniq.each do |text|
          rows = unscoped.where(vidcache_email_attribute => text).select(*keys)
          rows = rows.limit(1) if Portals.current.nil?
          ids = Change.with_connection(self) { |connection| connection.select_rows(rows.arel, "SCHEMA") }
          found = ids.lazy.filter_map { |id| Keys.row(self, id) }.find(&:vidcache_in_portal?)
          return found if found
        end
        nil
      end

      # @return [Boolean] whether the job can begin a change that was saved without the file ({Unavailable})
      # @api private
      def vidcache_job_makes_up?
        vidcache_job_class.method_defined?(:vidcache_remember)
      rescue NotConfigured
        false
      end

      # Of a class without rows of its own each model under it is one.
      # @api private
      def inherited(subclass)
        super
        Keys.claim(subclass)
        Portals.claim(subclass)
      end

      # @api private
      def enqueue_vidcache_job(record, token, wait: nil, before: nil, creates: nil, saved_at: nil)
        without_file = token == Unavailable::NOT_BEGUN
        job = vidcache_job_class.new(record, (token unless without_file))
        if job.respond_to?(:vidcache_remember)
          new = record.vidcache_email if token.nil? && creates.nil?
          job.vidcache_remember(record, before, creates: creates, signed_up_as: new)
          job.vidcache_make_up_for(record, change: without_file, row_of: saved_at) if without_file || saved_at
        end
        # Active Job has `false` for a job that one of the app's own callbacks stopped.
        job.enqueue(wait ? { wait: wait } : {}) || raise(Error, "#{vidcache_job} was not enqueued: a callback stopped it")
      rescue NotImplementedError # No StandardError, from a queue that has no job for later; the transaction has committed.
        why = JobQueue.not_later(job.class.queue_adapter) || "cannot keep a job for later"
        Failure.report_seldom(Error.new(JobQueue.sentence(job.class, why)),
                              during: "a job was not enqueued, so the change stays outstanding until the next vidcache:reconcile")
      end

      # @raise [NotConfigured] there is no such class
      # @api private
      def vidcache_job_class
        return vidcache_job unless vidcache_job.is_a?(String)

        vidcache_job.safe_constantize ||
          raise(NotConfigured, "#{name} says `has_vid job: #{vidcache_job.inspect}`, and there is no such class: " \
                               "`rails generate vidcache:install` writes app/jobs/hubspot_contact_job.rb")
      end
    end

    # @return [Integer, nil] the token of the change that this record's last save began, for an app that keeps its own
    #   books
    attr_reader :vidcache_change

    # Whether a job may tell HubSpot of this user's email, and has to: its change is outstanding, or it has none and the
    # user is not linked to a contact yet, and HubSpot has not refused their email for good; nor has it erased their
    # contact for privacy, after which they have none until the app forgets them or links them to one. To be asked under
    # a lock that the user's other jobs take too. Of a user whom the file has no contact of, the one in the app's own
    # column is linked first (`has_vid vid:`), and no job without a change is due then. While the model's `if:` says no,
    # none is: its change stays outstanding.
    #
    # @param change [Integer, nil] the token that the job was given
    # @return [Boolean]
    # @raise [Vidcache::Error]
    def hubspot_email_due?(change)
      vidcache_usable? && link_vidcache_known_vid && vidcache_untold?(change)
    rescue UnknownChange => e
      # The file was replaced, or this process has another one than the app. HubSpot is not told of anything.
      Failure.report(e, during: "a job did nothing: its change is not in this file")
      false
    rescue ForeignChange => e
      # The row was destroyed, and another one has its key now.
      Failure.report(e, during: "a job did nothing: its change is another user's, or of one who was forgotten")
      false
    end

    # @param change [Integer, nil]
    # @return [Boolean] whether the change is outstanding; without one, whether the file knows no contact of the user.
    #   False, too, if HubSpot refused them for good: the email of who has neither, or of who has no contact since
    #   theirs was erased for privacy
    # @raise [UnknownChange, ForeignChange]
    # @api private
    def vidcache_untold?(change)
      return false unless change ? Vidcache.cache.change_outstanding?(vidcache_key, change) : Vidcache.cache.resolve(vidcache_key).nil?

      Vidcache.cache.refusal(vidcache_key).nil?
    end

    # @return [Integer, String] what the cache knows this user by
    def vidcache_key
      key = public_send(self.class.vidcache_key_method)
      prefix = self.class.vidcache_key_prefix
      prefix && key ? "#{prefix}#{key}" : key
    end

    # @return [String, nil] the email as a page would name it, in UTF-8; nil where there is none, or only blanks, or it
    #   may not be used yet (`has_vid if:`)
    def vidcache_email
      self.class.vidcache_email_in_row?
      return unless vidcache_usable?

      text = public_send(self.class.vidcache_email_attribute).to_s
      text = text.encoding == Encoding::BINARY ? text.dup.force_encoding(Encoding::UTF_8) : text.encode(Encoding::UTF_8)
      text if text.valid_encoding? && text.present?
    rescue EncodingError
      nil
    end

    # When the row was made, where the model keeps that under one of the names that Active Record fills in.
    #
    # @return [Time, ActiveSupport::TimeWithZone, nil]
    # @api private
    def vidcache_made_at
      name = MADE_AT.find { |one| respond_to?(one) }
      made_at = name && public_send(name)
      made_at.respond_to?(:to_f) ? made_at : made_at&.to_time
    end

    # @return [Vidcache::Decision] what a page rendered now would say of this user, and why
    # @raise [Vidcache::Error]
    def vidcache_decision
      Vidcache.cache.decide(vidcache_key, vidcache_email)
    rescue InvalidEmail
      Vidcache.cache.decide(vidcache_key, nil)
    end

    private

    def begin_vidcache_change_of_email
      @vidcache_change = @vidcache_joined = nil
      return unless Vidcache.configured?

      @vidcache_before = vidcache_email_before
      @vidcache_was_usable = vidcache_usable?
      return unless @vidcache_was_usable
      return unless vidcache_attribute_changes?(:will_save_change_to_attribute?) || vidcache_becomes_usable?(@vidcache_before)

      begin_vidcache_change(@vidcache_before)
    end

    # A `before_update` of the model's own, declared after `has_vid`, may have set the email, or what `if:` asks for.
    # Not committed yet: still in time.
    def begin_vidcache_change_of_email_that_came_late
      return if @vidcache_joined || !Vidcache.configured? || !vidcache_usable?

      return unless vidcache_attribute_changes?(:saved_change_to_attribute?) || @vidcache_was_usable == false

      begin_vidcache_change(@vidcache_before)
    end

    def begin_vidcache_change(before)
      begin
        @vidcache_change = Vidcache.cache.begin_email_change(vidcache_key)
      rescue Error, SystemCallError => e
        raise unless Unavailable.save?(e, self.class)
      end
      Change.join_transaction(self, @vidcache_change || Unavailable::NOT_BEGUN, before)
      @vidcache_joined = true
    end

    def join_vidcache_transaction_of_the_new_row
      return unless Vidcache.configured?

      self.class.vidcache_email_in_row?
      return unless vidcache_usable? || @vidcache_unforgotten

      Change.join_transaction(self, nil, saved_at: @vidcache_unforgotten)
    end

    def vidcache_attribute_changes?(question)
      self.class.vidcache_email_in_row? && public_send(question, vidcache_email_column)
    end

    def vidcache_email_column
      name = self.class.vidcache_email_attribute
      self.class.attribute_aliases.fetch(name, name)
    end
  end
end
