# frozen_string_literal: true

namespace :vidcache do
  model = lambda do
    name = ENV.fetch("MODEL", "User")
    name.safe_constantize.tap do |found|
      abort "vidcache: #{name} is no model with has_vid; say which with MODEL=…" unless found.respond_to?(:vidcache_key_method)
    end
  end

  desc "Fill the cache from a model: MODEL=User, VID=the column with HubSpot's contact ids; without VID a job looks each user up"
  task backfill: :environment do
    Vidcache::Backfill.new(model.call, vid: ENV["VID"].presence, output: $stdout).run
  end

  desc "List email changes that are outstanding for longer than OLDER_THAN seconds (3600); RETRY=1 enqueues their jobs anew"
  task stale: :environment do
    older_than = Float(ENV.fetch("OLDER_THAN", 3600))
    stale = Vidcache.cache.stale_changes(older_than: older_than)
    stale.each { |change| puts "user #{change.user_id}: begun #{change.begun_at.getutc.iso8601}, token #{change.token}" }
    puts "#{stale.size} outstanding for longer than #{older_than.to_i} s"
    puts "#{model.call.retry_email_changes(older_than: older_than)} jobs enqueued" if ENV["RETRY"].present?
  end

  desc "Take out all that is held on a user who is gone: USER_ID=their key"
  task forget: :environment do
    key = ENV.fetch("USER_ID") { abort "vidcache: say which user with USER_ID=…" }
    puts Vidcache.cache.forget(key) ? "vidcache: forgotten" : "vidcache: nothing was held"
  end

  desc "Say why a page says what it says: USER_ID=their key, EMAIL=the app's"
  task explain: :environment do
    key = ENV.fetch("USER_ID") { abort "vidcache: say which user with USER_ID=…" }
    puts Vidcache.cache.explain(key, ENV["EMAIL"].presence)
  end

  desc "Check the file; ends non-zero if anything is wrong"
  task verify: :environment do
    problems = Vidcache.cache.verify
    puts problems
    abort "vidcache: #{problems.size} problems" if problems.any?
    puts "vidcache: nothing is wrong"
  end
end
