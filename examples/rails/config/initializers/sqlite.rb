# frozen_string_literal: true

# Several processes write to the shop's own database. A transaction that begins by reading and then writes fails at
# once, whatever the timeout, if another process has written in between: so each takes the write lock when it begins.
# Rails 8 does this itself.
ActiveSupport.on_load(:active_record) do
  require "active_record/connection_adapters/sqlite3_adapter"

  ActiveRecord::ConnectionAdapters::SQLite3Adapter.prepend(
    Module.new do
      # The gem's `timeout` waits in C and keeps every other Ruby thread waiting with it, the one that holds the lock
      # included. This waits in Ruby: five seconds at most.
      def configure_connection
        super
        (@raw_connection || @connection).busy_handler { |count| sleep(0.002) && count < 2_500 }
      end

      def begin_db_transaction
        log("BEGIN IMMEDIATE", "TRANSACTION") { with_sqlite { |sqlite| sqlite.transaction(:immediate) } }
      end

      private

      # From Rails 7.1 on a connection may be made only when it is used.
      def with_sqlite(&block)
        return yield @connection unless respond_to?(:with_raw_connection, true)

        with_raw_connection(allow_retry: true, materialize_transactions: false, &block)
      end
    end
  )
end
