# frozen_string_literal: true

# An embedded identity cache for HubSpot, so that a page never names an email that HubSpot does not
# hold: that is what makes duplicate contacts.
#
# @example In a worker, with what HubSpot answered
#   cache = Vidcache.open("storage/hubspot.vidcache", portal_id: 62515, secret: ENV.fetch("VIDCACHE_SECRET"))
#   cache.record(user.id, response.body)
#
# @example On a page
#   cache.snippet(user.id, user.email, nonce: nonce)
#
# @example When a user changes their email
#   token = cache.begin_email_change(user.id)             # before the app's own commit
#   # ... the app commits; 15 s later a worker updates the contact in HubSpot and reads it back:
#   cache.record(user.id, response.body, change: token)
#
# Start with {Vidcache.open} and {Vidcache::Cache}. In Rails, the railtie does most of it.
module Vidcache
end

require "rbconfig"
require "vidcache/version"
require "vidcache/decision"
require "vidcache/recorded"
require "vidcache/stale_change"
require "vidcache/user_to_read"
require "vidcache/conflict"
require "vidcache/reports"
# A gem that was compiled beforehand has a library for each Ruby.
own = "vidcache/#{RUBY_VERSION[/\A\d+\.\d+/]}/vidcache"
begin
  require File.exist?("#{__dir__}/#{own}.#{RbConfig::CONFIG["DLEXT"]}") ? own : "vidcache/vidcache"
rescue LoadError => e
  rubies = Dir["#{__dir__}/vidcache/[0-9]*/"].map { |folder| File.basename(folder) }.sort
  raise if rubies.empty? || e.message.start_with?("vidcache: ")

  raise LoadError, "vidcache: this gem was compiled for Ruby #{rubies.join(", ")} of another system than this one, which is Ruby " \
                   "#{RUBY_VERSION} on #{RbConfig::CONFIG["host_os"]}: install the gem of this platform, or let it be compiled here " \
                   "(gem install vidcache --platform ruby). #{e.message}"
end
require "vidcache/errors"
require "vidcache/cache"
require "vidcache/railtie" if defined?(Rails::Railtie)
