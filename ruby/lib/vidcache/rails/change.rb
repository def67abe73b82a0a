# frozen_string_literal: true

require "json"

module Vidcache
  # One change of an email, or one new user, as a member of the database transaction (or savepoint) that it was made in.
  # When that commits, the worker's job is enqueued; when it rolls back, the change is abandoned.
  #
  # It joins the transaction itself, by the protocol that Active Record speaks to records, because a record's own
  # `after_commit` and `after_rollback` lose changes: of several instances of one row that were saved in a transaction
  # only one is called, none after a save that failed, the others not once some callback has raised, and a record cannot
  # tell which of its saves a savepoint took back. The protocol's four methods have been the same from Rails 6.1 to 8.1;
  # a member of a savepoint is handed on to the transaction around it, so every change ends with the transaction that
  # decides it.
  #
  # @api private
  class Change
    # @param record [ActiveRecord::Base] the user
    # @param token [Integer, :not_begun, nil] nil for a new user: nothing was agreed on before. See {Unavailable}
    # @param before [String, nil] the email before the change
    # @param saved_at [Float, nil] when the row was made, if the file could not be asked then whose key it was
    # @return [void]
    def self.join_transaction(record, token, before = nil, saved_at: nil)
      change = new(record, token, before, saved_at)
      with_connection(record.class) { |connection| connection.add_transaction_record(change) }
    end

    # @param key [Integer, String] the user's
    # @return [Array<Hash>] the changes that are outstanding
    def self.outstanding(key)
      JSON.parse(Vidcache.cache.export(key)).fetch("changes").reject { |change| change["ended_at"] }
    end

    # @param model [Class]
    # @return [Boolean] whether what joins is told of an end
    def self.transaction_open?(model)
      with_connection(model, &:transaction_open?)
    end

    # `connection` is deprecated from Rails 7.2 on. Within a save either is the connection that the save uses.
    def self.with_connection(model, &block)
      model.respond_to?(:with_connection) ? model.with_connection(&block) : yield(model.connection)
    end

    def initialize(record, token, before, saved_at)
      @record = record
      @token = token
      @before = before
      @saved_at = saved_at
      # Read now: a rollback takes the id of a record that it un-creates.
      @user_id = record.vidcache_key
      @portal = Portals.current
      @commit_tried = false
      @ended = false
    end

    # @!group What Active Record asks of a member of a transaction

    def has_transactional_callbacks? # rubocop:disable Naming/PredicateName
      true
    end

    def trigger_transactional_callbacks?
      true
    end

    def before_committed!(*)
      @commit_tried = true
    end

    # `should_run_callbacks` is false when the callback of another record has raised: that error is on its way to the
    # app already, so a failure here is reported and does not take its place.
    def committed!(should_run_callbacks: true)
      once { should_run_callbacks ? enqueue : quietly("a job was not enqueued, so the change stays outstanding") { enqueue } }
    end

    # A failure to abandon leaves the change outstanding: pages say less, nothing wrong.
    #
    # A rollback after COMMIT was tried may be none: if the connection broke, the database may have committed. Then too
    # the job is enqueued. It sends the email as it is in the database, whichever that is.
    def rolledback!(force_restore_state: false, should_run_callbacks: true) # rubocop:disable Lint/UnusedMethodArgument
      once do
        if @commit_tried
          quietly("a job was not enqueued, so the change stays outstanding") { enqueue } if @token
        elsif @token.is_a?(Integer) && !Vidcache.in_database? # There it was rolled back with everything else.
          quietly("a change was not abandoned, so it stays outstanding") { Vidcache.cache.abandon_email_change(@user_id, @token) }
        end
      end
    end

    def add_to_transaction(*)
      Portals.with(@portal) { self.class.join_transaction(@record, @token, @before, saved_at: @saved_at) }
    end

    # @!endgroup

    private

    def once(&block)
      return if @ended

      @ended = true
      Portals.with(@portal, &block)
    end

    def enqueue
      wait = see_and_wait if @token.is_a?(Integer)
      @record.class.enqueue_vidcache_job(@record, @token, wait: wait, before: @before, saved_at: @saved_at)
    end

    # In the app's database pages know of the change from now on.
    def see_and_wait
      if Vidcache.in_database?
        quietly("a job has to come twice, since nobody wrote down when its change was committed") { Vidcache.cache.see_email_change(@token) }
      end
      quiet_period
    end

    # Where the file cannot say, the longest that any may be: the job is not lost, and comes in no case too early.
    def quiet_period
      Vidcache.settings.quiet_period
    rescue Error => e
      Failure.report(e, during: "a job waits for the longest time that it may have to")
      Settings::LONGEST
    end

    def quietly(outcome)
      yield
    rescue StandardError => e
      Failure.report(e, during: outcome)
    end
  end
end
