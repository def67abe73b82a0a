# frozen_string_literal: true

module Vidcache
  class Database
    # The app's own connection to its PostgreSQL, as Active Record has it: of the model with `has_vid`, so that a change
    # begins in the transaction that changes the email. None is opened for vidcache, and none is kept.
    #
    # @api private
    class Connection
      # Names that Active Record's adapters of PostgreSQL give themselves.
      ADAPTERS = /postg/i

      # How often what another transaction stood in the way of is tried, outside a transaction of the app's.
      TRIES = 5

      # In the log.
      NAME = "vidcache"

      # What ends with the next try, as a rule.
      PASSING = [::ActiveRecord::Deadlocked, ::ActiveRecord::SerializationFailure].freeze

      private_constant :TRIES, :PASSING, :NAME

      # @return [Class] whose connection it is
      def self.model
        Keys.models.first || ::ActiveRecord::Base
      end

      # Seconds, by a clock that goes on while the machine sleeps.
      # @return [Float]
      def self.clock
        Process.clock_gettime(defined?(Process::CLOCK_BOOTTIME) ? Process::CLOCK_BOOTTIME : Process::CLOCK_MONOTONIC)
      end

      # @param schema [String] of the tables
      # @param statements [Statements] which know what a server's SQLSTATE says
      def initialize(schema, statements)
        @schema = schema
        @statements = statements
      end

      # @return [String] of the tables
      attr_reader :schema

      # Asks for one text, of the server that is written to: a replica lags. Never of Active Record's query cache, and
      # without an end of the app's own transaction where it fails.
      #
      # @param sql [String]
      # @return [String, nil] nil: no row
      # @raise [Vidcache::Error]
      def ask(sql)
        on_the_writer(prevent_writes: true) { |connection| apart(connection) { value(connection, sql) } }
      end

      # {#ask} with a statement that is kept prepared, unless the app's connection keeps none (`prepared_statements:
      # false`, behind a pooler that hands out another connection each time).
      #
      # @param sql [String]
      # @param parameters [Array<String>]
      # @yieldreturn [String] the statement with the parameters in it
      def ask_prepared(sql, parameters)
        on_the_writer(prevent_writes: true) do |connection|
          apart(connection) { connection.prepared_statements ? value(connection, sql, parameters) : value(connection, yield) }
        end
      end

      # Runs what belongs to the app's own transaction, if there is one, and ends with it.
      #
      # @return [void]
      # @raise [Vidcache::Error, ActiveRecord::ReadOnlyError]
      def run_with_the_app(sql, apart: false)
        translated do
          with_connection do |connection|
            apart ? apart(connection) { run(connection, sql) } : run(connection, sql)
          end
        end
      end

      # Writes what the library keeps for itself, also from a page.
      #
      # @return [nil]
      # @raise [Vidcache::Error]
      def keep(sql)
        on_the_writer(prevent_writes: false) { |connection| apart(connection) { run(connection, sql) } }
      end

      # A statement that writes, and gives one value if it did.
      #
      # @return [Object, nil]
      # @raise [Vidcache::Error, ActiveRecord::ReadOnlyError]
      def write(sql)
        on_the_writer { |connection| apart(connection) { value(connection, sql) } }
      end

      # Runs the block in a transaction of its own, or in a part of the app's own, which the app ends. What a deadlock
      # broke off is run again, unless the app's own work went with it.
      #
      # @yieldparam session [Session]
      # @return [Object] what the block returns
      # @raise [Vidcache::Error, ActiveRecord::ReadOnlyError]
      def transaction
        tries = 0
        begin
          inside = nil
          on_the_writer do |connection|
            inside = connection.transaction_open?
            connection.transaction(requires_new: inside) { yield Session.new(connection, (READ_COMMITTED unless inside)) }
          end
        rescue Busy => e
          raise if inside || PASSING.none? { |passing| e.cause.is_a?(passing) } || (tries += 1) >= TRIES

          sleep(rand * 0.05 * tries)
          retry # On another connection, where Active Record has thrown the first away (before Rails 7).
        end
      end

      # Whether a transaction of the app's is open: what is read then may never be committed.
      def transaction_open?
        with_connection(&:transaction_open?)
      end

      # In READ COMMITTED a statement sees what others have committed while it waited for them.
      READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

      # The statements of an errand, in its transaction: one text for all that is asked, and one for what is written.
      # @api private
      class Session
        # @param first [String, nil] what the transaction begins with
        def initialize(connection, first)
          @connection = connection
          @first = first
        end

        # @return [String] the answer of the last
        def ask(*statements)
          execute([*@first, *statements]).getvalue(0, 0).tap { @first = nil }
        end

        def run(statements)
          execute([@first]) if @first # Alone, so that Active Record sees that what follows writes.
          @first = nil
          execute(statements) unless statements.empty?
        end

        private

        def execute(statements)
          @connection.execute(statements.join(";\n"), NAME)
        end
      end
      private_constant :READ_COMMITTED, :Session

      # @api private
      def value(connection, sql, parameters = [])
        binds = parameters.map { |text| ::ActiveRecord::Relation::QueryAttribute.new("vidcache", text, TEXT) }
        connection.uncached { connection.select_all(sql, NAME, binds, preparable: binds.any?).rows.dig(0, 0) }
      end

      # @api private
      def run(connection, sql)
        connection.execute(sql, NAME)
        nil
      end

      WAITED = "the app's database kept vidcache waiting for too long: %s"
      TEXT = ::ActiveRecord::Type::Text.new
      private_constant :TEXT, :WAITED

      private

      # Under `DatabaseSelector`, and in `connected_to(role: :reading)`, too. What the app forbids to be written there
      # is not written.
      def on_the_writer(prevent_writes: nil, &block)
        translated do
          role = ::ActiveRecord.respond_to?(:writing_role) ? ::ActiveRecord.writing_role : ::ActiveRecord::Base.writing_role
          preventing = ::ActiveRecord::Base.current_preventing_writes
          next with_connection(&block) if self.class.model.current_role == role && !(preventing && prevent_writes == false)

          forbidden = prevent_writes.nil? ? preventing : prevent_writes
          ::ActiveRecord::Base.connected_to(role: role, prevent_writes: forbidden) { with_connection(&block) }
        end
      end

      def with_connection
        Change.with_connection(self.class.model) do |connection|
          raise UnsupportedDatabase, connection.adapter_name unless connection.adapter_name.match?(ADAPTERS)

          yield connection
        end
      end

      # A failed statement ends the whole transaction, unless it is in a part of it.
      def apart(connection, &block)
        connection.transaction_open? ? connection.transaction(requires_new: true, &block) : yield
      end

      # No error of another library's reaches who rescues this one's, and no word of the server's: it may quote a row.
      def translated
        yield
      rescue ::ActiveRecord::ReadOnlyError
        raise
      rescue ::ActiveRecord::ConnectionTimeoutError => e
        raise Busy, WAITED % e.class.name.demodulize # None of the pool's was free.
      rescue StandardError => e
        raise unless e.is_a?(::ActiveRecord::ActiveRecordError) || of_the_driver?(e)

        failure = @statements.failure(sqlstate(e))
        raise failure.is_a?(Busy) ? failure.exception(WAITED % e.class.name.demodulize) : failure
      end

      # @return [String] empty where no server answered
      def sqlstate(error)
        error = error.cause until error.nil? || of_the_driver?(error)
        error&.result&.error_field(::PG::PG_DIAG_SQLSTATE).to_s
      end

      # Active Record lets some through while it connects.
      def of_the_driver?(error)
        defined?(::PG::Error) ? error.is_a?(::PG::Error) : false
      end
    end
  end

  # The app's database is none that vidcache's rows can be in.
  class UnsupportedDatabase < Error
    # @param adapter [String] as Active Record names it
    def initialize(adapter = "this")
      super("config.vidcache.store = :database needs PostgreSQL, and the app's database is #{adapter}: use the file " \
            "(config.vidcache.store = :file), which serves the processes of one host")
    end

    # Not one of the core's codes.
    CODE = :unsupported_database
  end
end
