# frozen_string_literal: true

module Vidcache
  class Database
    # What is learnt, done and asked of one user or contact. Each asks for all that hangs together with them, and the
    # core, which has the file's own code for it, says what is to be written.
    #
    # @api private
    module Errands
      # Longer than any quiet period: how much of it is left says how long ago it began.
      AGES = 100 * 365 * 86_400
      private_constant :AGES

      # @see Cache#resolve
      def resolve(user_id)
        read(:resolve, [user_id]).first
      end

      # @return [Boolean] whether a page or a job of this key could speak of anybody, or would not because of somebody
      # @api private
      def known?(user_id)
        read(:knows, [user_id])
      end

      # @see Cache#record
      def record(user_id, answer, change: nil, asked_at: nil)
        asked_at &&= Answer.milliseconds(asked_at)
        Answer.read(answer) { |json| errand(:record, [user_id, json, change, asked_at]) }
      end

      # @see Cache#observe
      def observe(answer, asked_at: nil)
        asked_at &&= Answer.milliseconds(asked_at)
        Answer.read(answer) { |json| errand(:observe, [json, asked_at]) }
      end

      # @see Cache#apply_webhook
      def apply_webhook(body)
        errand(:webhook, [body])
      end

      # @see Cache#link
      def link(user_id, vid)
        errand(:link, [user_id, vid])
      end

      # @see Cache#link_shared
      def link_shared(user_id, vid)
        errand(:link_shared, [user_id, vid])
      end

      # Begins a change in the transaction that is open on the model's connection: if that is rolled back there never
      # was one, and nothing is to be abandoned.
      #
      # @param user_id [Integer, String]
      # @return [Integer] the change's token
      # @raise [InvalidUserKey, Storage, Busy]
      def begin_email_change(user_id)
        open!
        token, sql = @statements.begin(user_id)
        # Where a save is to go on without a change, a failure must not end its transaction.
        @connection.run_with_the_app(sql, apart: Vidcache.settings.when_unavailable == :save)
        token
      end

      # @see Cache#abandon_email_change
      def abandon_email_change(user_id, token)
        errand(:abandon, [user_id, token])
      end

      # @see Cache#change_outstanding?
      def change_outstanding?(user_id, token)
        read(:is_outstanding, [user_id, token])
      end

      # Since when the user's change was seen to be committed, which is what the quiet period is counted from: by
      # PostgreSQL's clock, said as a time of this host's. A change that nobody has seen is seen by this.
      #
      # @param user_id [Integer, String]
      # @param token [Integer]
      # @return [Time, nil] nil once the change has ended
      # @raise [InvalidUserKey, UnknownChange, ForeignChange, Storage, Busy]
      def change_outstanding_since(user_id, token)
        turn, left, see = errand(:turn, [user_id, token, AGES])
        return if turn == :ended

        see(see) if see
        Time.now - (left ? AGES - left : 0)
      end

      # Says that the change is committed, so that its quiet period begins. Of a transaction that is open nobody knows
      # that.
      #
      # @api private
      def see_email_change(token)
        see(@statements.see(token))
      end

      # @see Cache#quiet_period
      def quiet_period
        @statements.quiet_period(@connection.ask(@statements.ask_quiet_period))
      end

      # @see Cache#lease
      def lease(user_id, seconds, renew: nil)
        open!
        token, sql = @statements.lease(user_id, seconds, renew)
        token if @connection.write(sql)
      end

      # @see Cache#release
      def release(user_id, token)
        !@connection.write(@statements.release(user_id, token)).nil?
      end

      # @see Cache#refusal
      def refusal(user_id)
        read(:refusal, [user_id])
      end

      # @see Cache#explain
      def explain(user_id, email)
        read(:explain, [user_id, email])
      end

      # @see Cache#export
      def export(user_id)
        read(:export, [user_id])
      end

      # @see Cache#users_of
      def users_of(vid)
        read(:users_of, [vid])
      end

      # @see Cache#forget
      def forget(user_id)
        errand(:forget, [user_id])
      end

      # @see Cache#end_conflict
      def end_conflict(user_id)
        errand(:end_conflict, [user_id])
      end

      private

      def read(kind, about)
        open!
        _, ask = @statements.steps(kind, about)
        @statements.read(kind, about, @connection.ask(ask))
      end

      # In one transaction: the lock, the question, what is new. What is to be told once that is committed is raised
      # then.
      def errand(kind, about)
        open!
        lock, ask = @statements.steps(kind, about)
        said, refused = @connection.transaction do |session|
          said, refused, statements = @statements.finish(kind, about, session.ask(lock, ask))
          session.run(statements)
          [said, refused]
        end
        keep_up
        raise refused if refused

        said
      end

      def see(sql)
        @connection.keep(sql) unless @connection.transaction_open?
      end
    end
  end
end
