# frozen_string_literal: true

namespace :vidcache do
  # Where each tenant has a portal: PORTAL=which one; otherwise in each of them. What is wrong, in a sentence instead of
  # a stack. What goes wrong in one portal is said, and the others have their turn.
  plainly = lambda do |&work|
    settings = Vidcache.settings
    portal = Vidcache::Portals.number(ENV["PORTAL"].presence) || nil if settings.several?
    abort "vidcache: portal #{portal} is not in config.vidcache.portals" if portal && !settings.portals.include?(portal)

    failed = Vidcache::Portals.with(portal) do
      Vidcache::Portals.each do |each|
        puts "portal #{each}:" if each
        work.call
        nil
      rescue StandardError, SystemExit => e
        raise if each.nil?

        # What `abort` ended has been said.
        warn "vidcache: #{e.is_a?(Vidcache::Error) || e.is_a?(SystemCallError) ? e.message : e.class}" unless e.is_a?(SystemExit)
        each
      end
    end
    abort "vidcache: it failed in portal #{failed.compact.join(", ")}" if failed.any?
  rescue Vidcache::Error, SystemCallError => e
    abort "vidcache: #{e.message}"
  end

  # What is done in one portal alone.
  in_one = lambda do |&work|
    abort "vidcache: say in which portal with PORTAL=…" if Vidcache.settings.several? && ENV["PORTAL"].blank?

    plainly.call(&work)
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

  # Contacts of users whom HubSpot does not have under an email that is known: who has one under another gets a second
  # one.
  create = -> { ENV["CREATE"] == "1" }

  key = lambda do
    ENV["USER_ID"].presence || abort("vidcache: say which user with USER_ID=…")
  end

  desc "Look at all that vidcache needs, and ask HubSpot: MODEL=User, USER_ID=whose page to tell of. Ends non-zero if anything is wrong"
  task check: :environment do
    Rails.application.eager_load!
    users = ENV["MODEL"].present? ? model.call : Vidcache::Keys.models.first
    asked = ENV["USER_ID"].presence
    user = users.find_vidcache_user(asked) if users && asked
    in_portals = user&.vidcache_portal ? ->(&look) { [Vidcache.in_portal(user.vidcache_portal, &look)] } : Vidcache::Portals.method(:each)
    findings = in_portals.call { Vidcache::Check.new(users, user).run }.flatten(1)
    findings.each { |finding| puts "#{{ ok: "ok   ", wrong: "WRONG", open: "?    " }[finding.how]} #{finding.text}" }
    puts "?     a page: there is no user #{asked}" if asked && user.nil?
    wrong = findings.count { |finding| finding.how == :wrong }
    abort "vidcache: #{wrong} to be mended" if wrong.positive?
  end

  desc "Fill the cache from a model: MODEL=User, VID=the column with HubSpot's ids; jobs look others up, CREATE=1 makes contacts"
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
      puts "vidcache: #{done[:read]} contacts read by #{done[:calls]} calls, jobs for #{done[:changes]} changes, " \
           "#{done[:users]} users linked or given a job, #{done[:conflicts]} conflicts are over"
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
    in_one.call do
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

  desc "Take over what a file knows into the tables of the app's database, as often as you like: FILE=the file"
  task copy: :environment do
    from = ENV["FILE"].presence || abort("vidcache: say which file with FILE=…")
    abort "vidcache: there is no file #{from}" unless File.file?(from)
    plainly.call do
      abort "vidcache: config.vidcache.store is not :database: there is nothing to copy to" unless Vidcache.in_database?
      settings = Vidcache.settings
      file = Vidcache.open(from, portal_id: settings.portal_id, secret: settings.secret, old_secrets: settings.old_secrets,
                                 page_deadline: settings.page_deadline)
      puts "vidcache: taken over, by #{Vidcache.cache.copy(file)} statements; doing it again changes nothing"
      file.close
    end
  end

  desc "After an old copy of the file or the database was put back: no page names an email until HubSpot says it anew. Then vidcache:reconcile"
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

  desc "Say why a page says what it says of a user: USER_ID=their key, or EMAIL=their email; MODEL=User"
  task explain: :environment do
    email = ENV["EMAIL"].presence if ENV["USER_ID"].blank?
    explain = -> { puts Vidcache::Explanation.new(model.call, id: (key.call unless email), email: email).sentences }
    # One email may be a user of each portal.
    email ? in_one.call(&explain) : explain.call
  rescue Vidcache::Error, SystemCallError => e
    abort "vidcache: #{e.message}"
  end

  desc "Copy the file, while the app goes on: FILE=where to"
  task backup: :environment do
    to = ENV["FILE"].presence || abort("vidcache: say where to with FILE=…")
    in_one.call do
      Vidcache.cache.backup(to)
      puts "vidcache: #{to} is a whole copy, of mode 0600"
    end
  end

  # Opens no cache: nobody may have the file open, this process included.
  desc "Put a backup back, with the app stopped: FILE=the backup. No page names an email of it until HubSpot was read again"
  task restore: :environment do
    from = ENV["FILE"].presence || abort("vidcache: say which backup with FILE=…")
    abort "vidcache: the rows are in the app's database, and come back with it; then vidcache:doubt" if Vidcache.settings.database?
    in_one.call do
      old = Vidcache.restore(from, Vidcache.settings.path)
      puts "vidcache: #{old} is what was there" if old
      puts "vidcache: restored; once the app runs, vidcache:reconcile reads all of HubSpot's contacts again"
    rescue Vidcache::Busy
      abort "vidcache: the file is in use: stop every process of the app, on all terminals too, and call this again"
    end
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
