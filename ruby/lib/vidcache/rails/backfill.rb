# frozen_string_literal: true

require "vidcache/rails/reconcile"
require "vidcache/rails/task_queue"

module Vidcache
  # Fills the cache with the users that the app has had before. Doing it again changes nothing; what is known already
  # stands.
  #
  # With a column of contact ids it links each user. Such a link says nothing of the email, so the contacts are read
  # from HubSpot, a hundred a call, which confirms what they hold; without a token that is left to {Reconcile}. Without
  # a column it enqueues the model's job for every user who is not linked: the job asks HubSpot, and confirms the email
  # too. With the one that the model has for itself (`has_vid vid:`) it does both: whoever has no id in it gets a job.
  #
  # @api private
  class Backfill
    BATCH = 1000

    # @param model [Class] with `has_vid`
    # @param vid [String, nil] a column: only users are looked at who have something in it; nil: the model's own, if it
    #   has one
    # @param output [IO] where its progress goes
    # @param rate [Numeric] the most calls to HubSpot a second
    # @param create [Boolean] whether jobs make contacts for users whom HubSpot does not have under their present email
    def initialize(model, vid: nil, output: $stdout, rate: 5, create: false)
      @model = model
      @vid = vid || (model.vidcache_vid_attribute if model.respond_to?(:vidcache_vid_attribute))
      @only_linked = !vid.nil?
      @output = output
      @cache = Vidcache.cache # Raises before anything is read if there is none.
      @done = 0
      @counts = Hash.new(0)
      @rate = rate
      @create = create
    end

    # @return [Hash{Symbol => Integer}] what became of how many users
    def run
      TaskQueue.around(@model, @output) { fill }
    end

    private

    def fill
      scope = @only_linked ? @model.vidcache_rows.where.not(@vid => nil) : @model.vidcache_rows
      total = scope.count
      scope.find_in_batches(batch_size: BATCH) do |users|
        known, unknown = users.select(&:vidcache_in_portal?).partition { |user| @vid && !user.public_send(@vid).nil? }
        link(known)
        enqueue(unknown)
        @done += users.size
        @output.puts "vidcache: #{@done} of #{total} users#{@counts.map { |name, count| ", #{count} #{name}" }.join}"
      end
      @output.puts "vidcache: no users" if total.zero?
      confirm if @vid && total.positive?
      @counts
    end

    def link(users)
      rows = users.map { |user| [user.vidcache_key, user.public_send(@vid)] }
      valid = rows.select { |_, vid| VidColumn.vid(vid) }
      report = @cache.import(valid)
      count("linked", report.imported)
      count("whose contact is another user's", report.vid_taken)
      count("without a valid id", rows.size - valid.size)
    end

    def confirm
      return @output.puts("vidcache: config.vidcache.access_token is not set, so nothing is confirmed yet") unless Vidcache.settings.access_token

      @output.puts "vidcache: #{Reconcile.new(rate: @rate).read_unconfirmed} contacts were read from HubSpot"
    end

    def count(what, users)
      @counts[what.to_sym] += users if users.positive?
    end

    def enqueue(users)
      linked, others = users.zip(@cache.resolve_many(users.map(&:vidcache_key))).partition { |_, vid| vid }
      count("linked already", linked.size)
      others.each do |user, _|
        @model.enqueue_vidcache_job(user, nil, creates: @create)
        count("enqueued", 1)
      end
    end
  end
end
