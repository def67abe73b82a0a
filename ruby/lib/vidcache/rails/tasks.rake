# frozen_string_literal: true

namespace :vidcache do
  # What is wrong, in a sentence instead of a stack.
  plainly = lambda do |&work|
    work.call
  rescue Vidcache::Error, SystemCallError => e
    abort "vidcache: #{e.message}"
  end

  model = lambda do
    name = ENV.fetch("MODEL", "User")
    name.safe_constantize.tap do |found|
      abort "vidcache: #{name} is no model with has_vid; say which with MODEL=…" unless found.respond_to?(:vidcache_key_method)
    end
  end

  column = lambda do |users|
    name = ENV["VID"].presence or next
    next name if users.column_names.include?(users.attribute_aliases.fetch(name, name))

    abort "vidcache: #{users.table_name} has no column #{name}; say with VID=… which one holds HubSpot's contact ids"
  end

  rate = lambda do
    number = Float(ENV["RATE"].presence || 5, exception: false)
    number&.positive? ? number : abort("vidcache: RATE has to be a number of calls a second")
  end

  # Contacts of users whom HubSpot does not have under an email that is known: who has one under another gets a second one.
  create = -> { ENV["CREATE"] == "1" }

  key = lambda do
    ENV["USER_ID"].presence || abort("vidcache: say which user with USER_ID=…")
  end

  desc "Fill the cache from a model: MODEL=User, VID=the column with HubSpot's contact ids, or that of has_vid; jobs look others up, CREATE=1 makes contacts"
  task backfill: :environment do
    plainly.call do
      users = model.call
      Vidcache::Backfill.new(users, vid: column.call(users), output: $stdout, rate: rate.call, create: create.call).run
    end
  end

  desc "Read what is doubtful or old, find lost jobs and unlinked users: hourly. MODEL=User, RATE=5 calls to HubSpot a second; CREATE=1"
  task reconcile: :environment do
    plainly.call do
      users = model.call
      done = Vidcache::TaskQueue.around(users, $stdout) { Vidcache::Reconcile.new(users, rate: rate.call, create: create.call).run }
      puts "vidcache: #{done[:read]} contacts read by #{done[:calls]} calls, jobs for #{done[:changes]} changes and #{done[:users]} users, " \
           "#{done[:conflicts]} conflicts are over"
    end
  end

  desc "List email changes that are outstanding for longer than OLDER_THAN seconds (3600); RETRY=1 enqueues their jobs anew, CREATE=1 too"
  task stale: :environment do
    older_than = Float(ENV["OLDER_THAN"].presence || 3600, exception: false)
    abort "vidcache: OLDER_THAN has to be a number of seconds" unless older_than
    plainly.call do
      stale = Vidcache.cache.stale_changes(older_than: older_than, limit: Vidcache::Model::MAX_CHANGES)
      stale.each { |change| puts "user #{change.user_id}: begun #{change.begun_at.getutc.iso8601}, token #{change.token}" }
      puts "#{stale.size} outstanding for longer than #{older_than.to_i} s"
      next if ENV["RETRY"].blank?

      users = model.call
      Vidcache::TaskQueue.around(users, $stdout) do
        puts "#{users.retry_email_changes(older_than: older_than, create: create.call)} jobs enqueued"
      end
    end
  end

  words = lambda do |conflict|
    what = conflict.why == :vid_taken ? "is another user's contact" : "holds their email"
    "user #{conflict.user_id}, contact #{conflict.vid || "none"}: contact #{conflict.holder || "unknown"} #{what}, " \
      "since #{conflict.since.getutc.iso8601}"
  end

  desc "List users whose email another contact holds, or whose contact is another user's"
  task conflicts: :environment do
    plainly.call do
      conflicts = Vidcache.cache.conflicts(limit: Vidcache::Model::MAX_CHANGES)
      conflicts.each { |conflict| puts words.call(conflict) }
      puts "#{conflicts.size} conflicts"
    end
  end

  desc "Merge the two contacts of conflicts at HubSpot: CONFLICT=user keys, with commas. Says what it would do; APPLY=1 does it"
  task merge: :environment do
    plainly.call do
      wanted = ENV["CONFLICT"].to_s.split(",").map(&:strip).reject(&:empty?)
      abort "vidcache: say which users with CONFLICT=…; rails vidcache:conflicts lists them" if wanted.empty?
      known = Vidcache.cache.conflicts(limit: Vidcache::Model::MAX_CHANGES).to_h { |conflict| [conflict.user_id, conflict] }
      wanted.each do |user|
        conflict = known[user] or abort "vidcache: user #{user} has no conflict"
        abort "vidcache: #{words.call(conflict)}: there are no two contacts to merge" unless conflict.vid && conflict.holder

        puts words.call(conflict)
        puts "  contact #{conflict.vid} keeps its values, contact #{conflict.holder} is merged into it; HubSpot may give the merged one a new id"
        puts "  the users of both will share one contact" if conflict.why == :vid_taken
        next puts("  nothing was done: APPLY=1 merges them, and there is no way back") if ENV["APPLY"].blank?

        lives = Vidcache::ContactReader.new.merge(conflict.vid, conflict.holder)
        puts "  merged: contact #{lives} lives"
      end
    end
  end

  desc "After an old copy of the file was put back: no page names an email until HubSpot says it anew. Then vidcache:reconcile"
  task doubt: :environment do
    plainly.call do
      Vidcache.cache.doubt_all
      puts "vidcache: no page names an email now; in 5 s vidcache:reconcile can read them all again"
    end
  end

  desc "Take out all that is held on a user who is gone: USER_ID=their key"
  task forget: :environment do
    plainly.call { puts Vidcache.cache.forget(key.call) ? "vidcache: forgotten" : "vidcache: nothing was held" }
  end

  desc "Say why a page says what it says: USER_ID=their key, EMAIL=the app's"
  task explain: :environment do
    plainly.call { puts Vidcache.cache.explain(key.call, ENV["EMAIL"].presence) }
  end

  desc "Check the file; ends non-zero if anything is wrong"
  task verify: :environment do
    plainly.call do
      problems = Vidcache.cache.verify
      puts problems
      abort "vidcache: #{problems.size} problems" if problems.any?
      puts "vidcache: nothing is wrong"
    end
  end
end
