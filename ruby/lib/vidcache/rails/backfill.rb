# frozen_string_literal: true

module Vidcache
  # Fills the cache with the users that the app has had before. Doing it again changes nothing; what is known already stands.
  #
  # With a column of contact ids it links each user. Such a link says nothing of the email, so pages give the id alone until an
  # answer about the user is recorded. Without a column it enqueues the model's job for every user who is not linked: the job asks
  # HubSpot, and confirms the email too.
  #
  # @api private
  class Backfill
    BATCH = 1000

    # @param model [Class] with `has_vid`
    # @param vid [String, nil] a column
    # @param output [IO] where its progress goes
    def initialize(model, vid: nil, output: $stdout)
      @model = model
      @vid = vid
      @output = output
      @done = 0
      @counts = Hash.new(0)
    end

    # @return [Hash{Symbol => Integer}] what became of how many users
    def run
      scope = @vid ? @model.where.not(@vid => nil) : @model
      total = scope.count
      scope.find_in_batches(batch_size: BATCH) do |users|
        @vid ? link(users) : enqueue(users)
        @done += users.size
        @output.puts "vidcache: #{@done} of #{total} users#{@counts.map { |name, count| ", #{count} #{name}" }.join}"
      end
      @output.puts "vidcache: no users" if total.zero?
      @counts
    end

    private

    def link(users)
      users.each do |user|
        Vidcache.cache.link(user.vidcache_key, user.public_send(@vid)) unless Vidcache.cache.resolve(user.vidcache_key)
        @counts[:linked] += 1
      rescue VidTaken
        @counts[:"whose contact is another user's"] += 1
      rescue InvalidVid
        @counts[:"without a valid id"] += 1
      end
    end

    def enqueue(users)
      users.each do |user|
        next @counts[:"linked already"] += 1 if Vidcache.cache.resolve(user.vidcache_key)

        @model.enqueue_vidcache_job(user, nil)
        @counts[:enqueued] += 1
      end
    end
  end
end
