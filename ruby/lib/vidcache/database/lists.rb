# frozen_string_literal: true

module Vidcache
  class Database
    # What concerns many users: for tasks, and for the standing work.
    #
    # @api private
    module Lists
      # Users of one statement.
      MANY = 500
      private_constant :MANY

      # @see Cache#resolve_many
      def resolve_many(user_ids)
        user_ids.each_slice(MANY).flat_map { |some| read(:resolve_many, some) }
      end

      # @see Cache#import
      def import(rows)
        rows.each_slice(MANY).reduce(ImportReport.new(0, 0)) do |report, some|
          timed = some.map { |user_id, vid, email, at| [user_id, vid, email, at && Answer.milliseconds(at)] }
          report + errand(:import, timed)
        end
      end

      # @see Cache#stale_changes
      def stale_changes(older_than:, limit: 1000)
        @statements.stale_changes(@connection.ask(@statements.ask_stale_changes(older_than, limit)))
      end

      # {Cache#users_to_read}, in the order of the ids that they were linked to.
      #
      # @param after [ToRead, nil] the last of a list before
      # @return [Array<ToRead>] empty at the end; fewer than the limit are not yet the end
      def users_to_read(confirmed: false, older_than: 0, after: nil, limit: 100)
        return [] if after && after.place.nil?

        users, place = parts(after&.place) do |from|
          ask = @statements.ask_users_to_read(confirmed, older_than, from, limit)
          @statements.users_to_read(confirmed, older_than, @connection.ask(ask))
        end
        users.map { |user| ToRead.new(user.user_id, user.vid, user.read_at, place) }
      end

      # @see Cache#conflicts
      def conflicts(after: nil, limit: 1000)
        parts(after&.user_id) { |from| @statements.conflicts(@connection.ask(@statements.ask_conflicts(from, limit))) }.first
      end

      # A {UserToRead} that knows from where its list goes on.
      class ToRead < UserToRead
        # @return [Integer, nil]
        # @api private
        attr_reader :place

        # @api private
        def initialize(user_id, vid, read_at, place)
          @place = place
          super(user_id, vid, read_at)
        end
      end

      # Doubts all that HubSpot has said of every contact, by one row: for a database that was put back, or failed over
      # to a server that lacked more than a quiet period, before anything asks it.
      #
      # @return [nil]
      # @raise [TablesUnusable] there is no row that could say so
      def doubt_all
        quiet_period # Which raises where the tables are not believed.
        @connection.keep(@statements.doubt_all)
      end

      # Joins what a file knows to the tables; as often as one likes.
      #
      # @param file [Cache] of the same portal
      # @return [Integer] how many statements it took
      # @raise [WrongPortal, TablesUnusable, Storage, Busy]
      def copy(file)
        quiet_period # As there.
        statements = @statements.copy(file)
        statements.each { |sql| @connection.transaction { |session| session.run([sql]) } }
        statements.size
      end

      # What is looked at may be none that is meant.
      #
      # @yieldreturn [Array(Array, Object)] some, and from where to go on
      def parts(from)
        loop do
          found, from = yield from
          return [found, from] if from.nil? || found.any?
        end
      end
      private :parts

      # Asks all that pages and workers ask, of nobody, and so of every table and column.
      #
      # @return [Vidcache::Error, nil] why an answer of the database is not believed; nil: it is
      # @raise [Vidcache::Error] the tables are not there, or may not be written
      # @api private
      def distrust
        release(0, 0) # A lease that nobody has: a write that writes nothing.
        asked = [@statements.ask(0, ""), @statements.probe, @statements.steps(:resolve, [0]).last]
        asked.map! { |ask| @statements.distrust(@connection.ask(ask)) }
        asked.compact.first
      end

      # {#distrust}, raised.
      #
      # @return [void]
      # @raise [Vidcache::Error]
      # @api private
      def look
        distrust&.then { |why| raise why }
      end

      # How long the app's connection lets a statement wait, as PostgreSQL says it; "0": for ever.
      #
      # @return [Hash{String => String}]
      # @api private
      def timeouts
        %w[lock_timeout statement_timeout].to_h { |name| [name, @connection.ask("SHOW #{name}")] }
      end

      # The rows are in the app's database, which is checked by its own means: what is looked at is whether they can be
      # asked, and believed.
      #
      # @return [Array<String>] what is wrong; empty when nothing is
      def verify
        [distrust&.message].compact
      end

      # @raise [NotConfigured] always
      def backup(_path)
        raise NotConfigured, "the rows are in the app's database, and in its backups. After one was put back: `rails vidcache:doubt`"
      end
    end
  end
end
