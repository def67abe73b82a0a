# frozen_string_literal: true

# What is sent to the app's database, and another connection to it.
module Connections
  module_function

  # @return [Array<String>] what the block sends, but for what Active Record asks of the tables themselves
  def statements(&block)
    sent = []
    note = ->(*, payload) { sent << payload[:sql] unless payload[:name] == "SCHEMA" }
    ActiveSupport::Notifications.subscribed(note, "sql.active_record", &block)
    sent
  end

  # In a thread, so on another connection.
  def elsewhere(&block)
    pool = ActiveRecord::Base.connection_pool
    Thread.new { pool.with_connection { block.call } }.value
  ensure
    pool.flush(0) # `remove`, of a connection that nobody has, breaks the pool of Rails 7.2.
  end
end
