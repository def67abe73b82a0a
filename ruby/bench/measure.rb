# frozen_string_literal: true

# What bin/bench measures in Ruby: the gem beside a Hash, and beside what Rails apps use today.
#
#   ruby -I ruby/lib ruby/bench/measure.rb FOLDER FACTS [--quick]
#
# FOLDER holds the files that the Rust part has filled. One line of JSON for each figure goes to FACTS.

require "fileutils"
require "tmpdir"
require "vidcache"
require_relative "rounds"
require_relative "peers"
require_relative "share"

PORTAL = 62_515
SECRET = "thirty-two bytes kept out of it."

User = Struct.new(:id, :uuid, :vid, :email) do
  alias_method :vidcache_key, :id
  alias_method :vidcache_email, :email
end

folder, facts, *options = ARGV
quick = options.include?("--quick")
users = File.readlines("#{folder}/hot-users").map do |line|
  id, uuid, vid, email = line.split
  User.new(Integer(id), uuid, Integer(vid), email)
end

# What everyone writes by hand, as a partial of the layout.
BY_HAND = <<~ERB
  <script nonce="<%= nonce %>">
    var _hsq = window._hsq = window._hsq || [];
    _hsq.push(["identify", { email: <%= raw user.email.to_json %>, id: "<%= user.id %>" }]);
  </script>
  <script nonce="<%= nonce %>" id="hs-script-loader" async defer src="//js.hs-scripts.com/62515.js"></script>
ERB

# A page's view, as a Rails app has it: with the headers that Rails sets, and templates in a folder.
def view(templates)
  require "action_controller"
  require "action_view"
  require "vidcache/rails"
  FileUtils.mkdir_p("#{templates}/pages")
  File.write("#{templates}/pages/_by_hand.html.erb", BY_HAND)
  request = ActionDispatch::Request.empty
  controller = Class.new(ActionController::Base) { prepend_view_path(templates) }.new
  controller.set_request!(request)
  controller.set_response!(controller.class.make_response!(request))
  %w[X-Frame-Options X-XSS-Protection X-Content-Type-Options X-Download-Options X-Permitted-Cross-Domain-Policies Referrer-Policy].each do |name|
    controller.response.headers[name] = "as Rails has it"
  end
  # As the railtie does.
  ActionDispatch::Response.prepend(Vidcache::CachesTold)
  controller.view_context.extend(Vidcache::ViewHelper)
end

File.open(facts, "w") do |out|
  rounds = Rounds.new(facts: out, rounds: quick ? 11 : 41)
  rounds.fact("versions", ruby: RUBY_DESCRIPTION[/\Aruby \S+/])

  ints = Vidcache.open("#{folder}/int.vidcache", portal_id: PORTAL, secret: SECRET)
  uuids = Vidcache.open("#{folder}/uuid.vidcache", portal_id: PORTAL, secret: SECRET)
  # Every user once, so that what is measured comes from memory.
  users.each { |user| raise "a wrong answer" unless ints.resolve(user.id) == user.vid && uuids.resolve(user.uuid) == user.vid }

  ids = users.map(&:id)
  texts = users.map(&:uuid)
  # A Hash keeps its entries in the order they came in. Looked up in that same order, they would come out of memory one
  # after the other, which no app sees.
  in_order = users.sort_by(&:id)
  int_hash = in_order.to_h { |user| [user.id, user.vid] }
  # With keys of its own: nobody looks up the very object that a Hash has.
  text_hash = in_order.to_h { |user| [user.uuid.dup, user.vid] }
  rounds.add("baseline_hash_int", "on[key]", on: int_hash, keys: ids)
  rounds.add("ruby_resolve_int", "on.resolve(key)", on: ints, keys: ids, baseline: "baseline_hash_int")
  rounds.add("baseline_hash_str", "on[key]", on: text_hash, keys: texts)
  rounds.add("ruby_resolve_str", "on.resolve(key)", on: uuids, keys: texts, baseline: "baseline_hash_str")
  rounds.add("ruby_decide", "on.decide(key.id, key.email)", on: ints, keys: users, count: 10_000)
  rounds.add("ruby_snippet", "on.snippet(key.id, key.email, nonce: 'r4nd0m')", on: ints, keys: users, count: 10_000)
  raise "not agreed" unless ints.decide(users[0].id, users[0].email).agreed?

  alone, share = Share.measure(rounds: quick ? 3 : 7) { 100.times { |at| ints.resolve(ids[at]) } }
  rounds.fact("ruby_beside_busy", median_ns: 1e7 / alone, share: share)

  begin
    page = view("#{folder}/templates")
    Vidcache.cache = ints
    Vidcache.settings = Vidcache::Settings.new(nil) # As the railtie does once.
    raise "no email on the page" unless page.hubspot_tracking_tag(users[0]).include?(users[0].email)
    rounds.add("baseline_by_hand", "on.render('pages/by_hand', user: key, nonce: 'r4nd0m')", on: page, keys: users, count: 500)
    rounds.add("rails_tracking_tag", "on.hubspot_tracking_tag(key, nonce: 'r4nd0m')", on: page, keys: users, count: 500,
                                                                                      baseline: "baseline_by_hand")
    rounds.add("rails_caches_told", "on.headers.delete('Cache-Control'); on.send(:vidcache_tell_caches)",
               on: page.controller.response, keys: users, count: 500)
    rounds.fact("versions", rails: Rails.version) if defined?(Rails.version)
  rescue LoadError => e
    %w[rails_tracking_tag rails_caches_told].each { |id| rounds.fact(id, skipped: e.message) }
  end

  Dir.mktmpdir("vidcache-bench") do |sockets|
    servers = Servers.new(sockets)
    Peers.new(rounds, users, sockets, servers).add_all
    rounds.run
  ensure
    servers&.stop
  end
  ints.close
  uuids.close
end
