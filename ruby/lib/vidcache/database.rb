# frozen_string_literal: true

require "json"
require "vidcache/answer"
require "vidcache/database/connection"
require "vidcache/database/errands"
require "vidcache/database/lists"

module Vidcache
  # The rows in the app's own PostgreSQL (`config.vidcache.store = :database`): for an app whose processes share no
  # disk. It does what {Cache} does of a file, over the app's own Active Record connection: no other connection, no
  # thread, no file. What its methods take, return and raise is what {Cache}'s do, but for these:
  #
  # - A page asks the database, by one statement for nearly every user, and of the server that is written to, whatever
  #   role the request has; or, with `max_age`, memory, for which a page looks now and then what was written meanwhile.
  #   Where the database cannot be asked, or its answer may not be believed (a replica, a snapshot that is too old,
  #   another secret), a page goes out and says less: its {Decision#reason} is `:stale`, and it is reported. The time
  #   for which a page may name an email is shortened by the age of the answer.
  # - {#begin_email_change} belongs to the transaction that is open on the model's connection: the change is there if
  #   and only if that is committed.
  # - Whatever else writes has a transaction of its own, or is a part of the app's where one is open.
  # - {Storage} is raised where the database fails, or cannot be believed, and {Busy} where it kept a statement waiting
  #   for too long.
  #
  # Threads may share it, and so may the children of a fork: it holds no connection.
  class Database
    include Errands
    include Lists
    prepend Instrumentation::Recording
    prepend VidColumn::Recording

    # How often, in seconds, a process says anew how long its pages name an email (jobs wait for what was said within 30
    # days), and takes out what ended long ago.
    UPKEEP_EVERY = 3600
    private_constant :UPKEEP_EVERY

    class << self
      private :new

      # @param schema [String] of the database, in which the tables are
      # @param portal_id [Integer, String]
      # @param secret [String] at least 16 bytes, the same for every process
      # @param loader_host [String]
      # @param page_deadline [Numeric] in seconds
      # @param old_secrets [Array<String>] what the secret was before, the newest first
      # @param max_age [Numeric] for how many seconds answers are kept: 0, not at all; from 1 to half of `page_deadline`
      # @param memory [Integer] the most bytes that they take
      # @return [Database]
      # @raise [Vidcache::Error]
      def open(portal_id:, secret:, schema: "public", loader_host: "js.hs-scripts.com", page_deadline: 10.0, old_secrets: [], max_age: 0,
               memory: 32 << 20)
        kept = max_age.zero? ? [nil, nil] : [max_age, memory]
        statements = Statements.open(schema, portal_id, [secret, old_secrets, page_deadline, loader_host, *kept])
        new(statements, Connection.new(schema, statements)).tap(&:set_up)
      end
    end

    # @api private
    def initialize(statements, connection)
      @statements = statements
      @connection = connection
      @counts = Hash.new(0)
      # Whoever has answers in memory, as long as they may be asked.
      @kept = statements if statements.kept
      @closed = false
    end

    # Sets the tables up, if nobody has, and takes the key that they have.
    #
    # @return [void]
    # @raise [WrongSecret] they are another portal's, or under another secret
    # @raise [Storage, Busy]
    # @api private
    def set_up
      make, announce, ask = @statements.set_up
      key = @connection.ask(ask).to_s
      if key.empty?
        @connection.keep(make)
        key = @connection.ask(ask).to_s
      end
      anew = @statements.take_key(key)
      @connection.keep(anew) if anew
      @connection.keep(announce)
      # What is said in a transaction of the app's may be rolled back, so it is said again.
      @kept_up_at = @connection.transaction_open? ? -UPKEEP_EVERY : Connection.clock
    end

    # When the tables were set up: what was known before that is not in them.
    #
    # @return [Time]
    # @api private
    def made_at
      @statements.made_at
    end

    # @return [Integer] the portal that the tables belong to
    def portal_id
      @statements.portal_id
    end

    # @return [String] in which schema of the database the tables are
    def schema
      @connection.schema
    end

    # @see Cache#decide
    def decide(user_id, email)
      @kept&.kept_decision(user_id, email) || page(user_id) { |answer, look| @statements.decide(user_id, email, answer, look) }
    end

    # @see Cache#decide_many
    def decide_many(emails)
      emails.to_a.map { |user_id, email| decide(user_id, email) }
    end

    # @see Cache#snippet
    def snippet(user_id, email, nonce: nil)
      @kept&.kept_snippet(user_id, email, nonce) || (+"").tap { |html| append_snippet(html, user_id, email, nonce: nonce) }
    end

    # @see Cache#append_snippet
    def append_snippet(html, user_id, email, nonce: nil)
      kept = @kept&.append_kept(html, user_id, email, nonce)
      return kept if kept

      written, reason = page(user_id) { |answer, look| @statements.snippet(user_id, email, nonce, answer, look) }
      # A buffer of a template's escapes what `<<` puts into it.
      html.respond_to?(:safe_concat) ? html.safe_concat(written) : html << written
      reason
    end

    # @see Cache#page_data
    def page_data(user_id, email)
      JSON.parse(page(user_id) { |answer, look| @statements.page_data(user_id, email, answer, look) })
    end

    # @see Cache#anonymous_snippet
    def anonymous_snippet(nonce: nil)
      @statements.anonymous_snippet(nonce)
    end

    # @see Cache#signed_out_snippet
    def signed_out_snippet(nonce: nil)
      @statements.signed_out_snippet(nonce)
    end

    # @see Cache#anonymous_page_data
    def anonymous_page_data
      JSON.parse(@statements.anonymous_page_data)
    end

    # @see Cache#signed_out_page_data
    def signed_out_page_data
      JSON.parse(@statements.signed_out_page_data)
    end

    # What this process has asked, and what it keeps of that.
    #
    # @return [Hash{Symbol => Integer, String, nil}] +:asks+: pages that asked; +:walks+: of these, those that took a
    #   second statement, of a user whose contact is or was another one's too, or of whom something was written since
    #   memory was brought up to date; +:stale+: pages of which nobody answered,
    #   or the answer was not believed; +:last_error+: why. With `max_age` also +:hits+: pages that memory answered;
    #   +:looks+: answers that brought it up to date; +:forgotten+: how often everything was forgotten, since it could
    #   not be shown that nothing was missed (another server, a new connection); +:entries+, +:bytes+: users in it, and
    #   what they take
    def stats
      kept = @statements.kept
      in_memory = kept ? %i[hits looks forgotten entries bytes].zip(kept).to_h : {}
      { asks: @counts[:asks], walks: @counts[:walks], stale: @counts[:stale], last_error: @last_error, **in_memory }.freeze
    end

    # Nothing is held that would have to be closed.
    #
    # @return [nil]
    def close
      @closed = true
      @kept = nil
    end

    # @return [Boolean]
    def closed?
      @closed
    end

    # @return [String] no more than whose rows they are
    def inspect
      "#<#{self.class} portal_id=#{portal_id}#{" closed" if closed?}>"
    end
    alias to_s inspect

    private

    # Asks memory for a user, if answers are kept, or else the database, and makes of the answer what the block makes
    # of it: a statement, where there is more to ask, or what the page says, and the error that the answer was not
    # believed, if it was not. Without an answer the block makes a page of what memory has, or one that says less. Never
    # raises for the database.
    def page(user_id)
      open!
      look = @statements.look
      since, why = yield :memory, look if @kept
      return since if @kept && why != :ask

      @counts[:asks] += 1
      parameters = [@statements.parameter(user_id), *since]
      answer = @connection.ask_prepared(@statements.prepared(since.to_s), parameters) { @statements.ask(user_id, since.to_s) }
      said, why = yield answer, look
      if why == :more
        @counts[:walks] += 1
        said, why = yield @connection.ask_prepared(@statements.prepared_walk, parameters) { said }, look
      end
      # In tables that are not believed nothing is written.
      why ? stale(why) : keep_up
      said
    rescue Error => e
      raise if e.is_a?(Closed) || !(e.is_a?(UnsupportedDatabase) || Unavailable.of_the_file?(e))

      stale(e)
      yield(nil, look).first
    end

    def open!
      raise Closed, "the cache was closed" if @closed
    end

    def stale(error)
      @counts[:stale] += 1
      @last_error = error.code.to_s
      Failure.report_seldom(error, during: "pages say less than they could of who their visitors are")
    end

    def keep_up
      return if Connection.clock - @kept_up_at < UPKEEP_EVERY || @connection.transaction_open?

      @kept_up_at = Connection.clock
      @statements.upkeep.each { |sql| @connection.keep(sql) }
    rescue Error => e
      Failure.report_seldom(e, during: "a process did not say anew how long its pages name an email")
    end
  end
end
