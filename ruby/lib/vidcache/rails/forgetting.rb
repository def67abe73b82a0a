# frozen_string_literal: true

require "json"
require "active_support/concern"
require "active_support/notifications"

module Vidcache
  # A new row has the key of a user whom the file knew: the database was reset or restored from a backup, or it hands
  # ids out again (SQLite without AUTOINCREMENT, MySQL before 8.0 after a restart). It is reported, not raised.
  class KeyReused < Error
    def initialize(message = "a new row has the key of another user whom the file knew")
      super
    end

    # Not one of the core's codes.
    CODE = :key_reused
  end

  # A user key is one person: what the file knows of a key goes with the row that had it.
  #
  # **A new row.** Before any other `after_create`, inside the row's transaction, the file is asked whether it knows the
  # key. To ask is a look-up, which waits for nobody's write. If it does, all that it knows is forgotten there and then,
  # and {KeyReused} is reported. If the file cannot be read, or what it knows cannot be forgotten (it is locked for too
  # long, the disk is full), the error is raised and the row is not created (unless the app wants it saved:
  # {Unavailable}): a row that was would tell HubSpot's script, and the worker, that the new user is the stranger. A
  # transaction that rolls back afterwards leaves the key forgotten.
  #
  # **A destroyed row.** When the transaction has committed and the row is gone, the user is forgotten, unless the model
  # says `forget: false`. A row that is deleted softly is there, and may come back or be changed, so what is known of it
  # stays. A failure is reported: the row is gone by then, and what was known of its key will be forgotten should
  # another row get it.
  #
  # In an app with a portal for each tenant both are done in every portal that is listed, since a user may have moved.
  #
  # @api private
  module Forgetting
    extend ActiveSupport::Concern

    included do
      class_attribute :vidcache_forget, instance_accessor: false, default: true
      # Active Model puts a model's `after_create` in front of those before it, to run them in their order. This one is
      # to run before them all: of an app that links its new users itself, only what was there before may be forgotten.
      set_callback :create, :after, :forget_whose_vidcache_key_it_was, prepend: false
      after_destroy :forget_in_vidcache
    end

    # @return [Boolean] whether a page or a job of this key could speak of anybody, or would not because of somebody
    def self.known?(key)
      return Vidcache.cache.known?(key) if Vidcache.in_database?

      !Vidcache.cache.resolve(key).nil? || Change.outstanding(key).any? || !Vidcache.cache.refusal(key).nil?
    end

    # What {#forget_whose_vidcache_key_it_was} does, later: for a row that was made at a time when the file could not be
    # asked.
    #
    # @param key [Integer, String]
    # @param made_at [Float] seconds since 1970: what was known before that is somebody else's
    # @return [void]
    def self.make_up_for(key, made_at)
      former = Portals.everywhere do
        held = JSON.parse(Vidcache.cache.export(key))
        since = held["links"].map { |link| link["first_at"] } + held["changes"].map { |change| change["begun_at"] unless change["ended_at"] }
        next unless since.compact.any? { |at| at < made_at * 1000 }

        Vidcache.cache.forget(key)
        true
      end
      report(key) if former.any?
    end

    def self.report(key)
      Failure.report(KeyReused.new, during: "a row was created, and what was known of its key is forgotten")
      ActiveSupport::Notifications.instrument("key_reused.vidcache", user_id: key)
    end

    private

    def forget_whose_vidcache_key_it_was
      # Whoever has no portal now may have had one.
      return unless Portals.anywhere?

      former = Portals.everywhere { Forgetting.known?(vidcache_key) && [Vidcache.cache.forget(vidcache_key)] }
      Forgetting.report(vidcache_key) if former.any?
    rescue Error, SystemCallError => e
      # Who has no portal gets no job that makes up for it.
      raise unless Vidcache.configured? && Unavailable.save?(e, self.class)

      @vidcache_unforgotten = Time.now.to_f
    end

    def forget_in_vidcache
      Departure.join_transaction(self) if self.class.vidcache_forget && Portals.anywhere? && vidcache_key
    end

    # A destroyed row, as a member of its transaction: by the protocol, and for the reasons, of {Change}.
    class Departure
      # @param record [ActiveRecord::Base] the user
      # @return [void]
      def self.join_transaction(record)
        new(record).add_to_transaction
      end

      def initialize(record)
        @model = record.class
        @id = record.id
        @user_id = record.vidcache_key
        @portal = Portals.current
        @ended = false
      end

      # @!group What Active Record asks of a member of a transaction

      def has_transactional_callbacks? # rubocop:disable Naming/PredicateName
        true
      end

      def trigger_transactional_callbacks?
        true
      end

      def before_committed!(*); end

      def rolledback!(*, **); end

      def committed!(**)
        return if @ended

        @ended = true
        # Of a soft deletion the row is still there. And the same transaction, or another one since, may have made a new
        # row of this key, and forgotten what was before it.
        reporting { Portals.with(@portal) { forget unless row? } }
      end

      # Also where a savepoint is released: to the transaction around it.
      def add_to_transaction(*)
        member = self
        add = ->(connection) { connection.add_transaction_record(member) }
        @model.respond_to?(:with_connection) ? @model.with_connection(&add) : add.call(@model.connection)
      end

      # @!endgroup

      private

      def row?
        !Keys.row(@model, @id).nil?
      end

      # A portal whose file cannot be used keeps the user in no other one.
      def forget
        Portals.everywhere { reporting { Vidcache.cache.forget(@user_id) } }
      end

      def reporting
        yield
      rescue StandardError => e
        Failure.report(e, during: "user #{@user_id} was destroyed and is not forgotten: `rails vidcache:forget USER_ID=#{@user_id}` does it")
      end
    end
    private_constant :Departure
  end
end
