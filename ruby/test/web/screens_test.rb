# frozen_string_literal: true

require_relative "../rails/helper"
require_relative "../rails/support/operator"
require_relative "../rails/support/over_http"
require "minitest/mock"

# What the operators' page shows and what its buttons do, against the double over HTTP.
class Vidcache::WebScreensTest < Vidcache::RailsTest
  include OverHttp

  def setup
    super
    call_the_double
    Rails.cache.clear
    Vidcache::Pulse.clear
    Vidcache::Pulse.listen
    @operator = Operator.new
  end

  def teardown
    call_nobody
    super
  end

  def test_an_empty_file_says_that_there_is_nothing
    assert_equal 200, @operator.get("/")
    assert_includes @operator.body, "None."
    %w[/changes /conflicts /unlinked].each { |address| assert_equal 200, @operator.get(address), address }
    assert_equal 200, @operator.get("/user?key=4711")
    assert_includes @operator.body, "of whom the app has no row"
    assert_equal 200, @operator.get("/contact?id=901")
    assert_includes @operator.body, "No user of the app is linked to contact 901"
  end

  def test_the_overview_counts_by_reason_and_tells_whose_change_waits_and_why
    # Keys that no new row of the app can have.
    confirm(4711, "one@shop.test", vid: 11)
    @cache.link(4712, 12)
    user = User.create!(email: "ann@shop.test")
    token = @cache.begin_email_change(user.id)
    sleep 0.01 # What was linked or begun in this millisecond is not yet counted.
    Vidcache::Explanation::Traces.job(user.vidcache_key, Vidcache::RateLimited.new("HubSpot asks to wait"))
    seen = @operator.json("/")
    assert_equal({ "change_outstanding" => 1, "email_unconfirmed" => 1, "conflict" => 0, "confirmed_long_ago" => 0 }, seen["now"])
    assert_equal [[user.id.to_s, "HubSpot asks to wait"]], seen["changes"].map { |change| [change["user"], change.dig("last_job", "error")] }
    assert_equal [1, { "email_unconfirmed" => 1, "change_outstanding" => 1, "conflict" => 0 }],
                 [seen["day"].size, seen["day"].first.except("at")]
    assert_equal [1, 1], [seen.dig("lately", "answers", "last_day"), seen.dig("lately", "failed_jobs", "last_hour")]
    assert_equal [Socket.gethostname], seen["hosts"].map { |host| host["name"] }
    assert_includes seen.dig("file", "open_by", "processes").map { |process| process["pid"] }, Process.pid if File.directory?("/proc/self/fd")
    @operator.get("/")
    assert_includes @operator.body, "HubSpot asks to wait"
    assert_match(/<rect class="change_outstanding"/, @operator.body)
    @cache.abandon_email_change(user.id, token)
  end

  def test_every_screen_is_there_as_json_too_and_so_is_what_is_refused
    user = agreed_user
    conflict(user, 977)
    ["/", "/changes", "/conflicts", "/unlinked", "/user?key=#{user.id}", "/contact?id=901", "/user/forget?key=#{user.id}",
     "/conflict/merge?key=#{user.id}"].each do |address|
      found = @operator.json(address)
      assert_equal [200, "application/json"], [@operator.answer.status, @operator.answer["Content-Type"]], address
      refute_empty found, address
      @operator.get("#{address}#{address.include?("?") ? "&" : "?"}format=json")
      assert_equal found.keys, JSON.parse(@operator.body).keys, address
      refute_match(/@|fingerprint/, @operator.body)
    end
    ["/nowhere", "/contact?id=none", "/user", "/conflict/merge?key=4711"].each do |address|
      assert_equal %w[message], @operator.json(address).keys, address
      assert_includes [400, 404], @operator.answer.status
    end
    status = @operator.post("/user/forget", { "key" => user.id.to_s }, "HTTP_ACCEPT" => "application/json", "HTTP_SEC_FETCH_SITE" => "cross-site")
    assert_equal [403, %w[message]], [status, JSON.parse(@operator.body).keys]
    assert_equal 901, @cache.resolve(user.id)
  end

  def test_counts_are_broken_off_and_say_so
    counts = Vidcache::Counts.new(2)
    @cache.import((1..3).map { |n| [n, 100 + n] })
    assert_equal 2, counts.unconfirmed
    @cache.import((1..250).map { |n| [n, 100 + n] })
    assert_equal [250, 120], [Vidcache::Counts.new.unconfirmed, Vidcache::Counts.new(120).unconfirmed]
    stub_const(Vidcache::Counts, :ON_A_PAGE, 2) { @operator.get("/") }
    assert_includes @operator.body, "2 or more"
  end

  def test_a_user_is_found_by_id_by_contact_and_by_email_and_their_page_says_why
    user = agreed_user
    search(user.id.to_s)
    assert_equal "/vidcache/user?key=#{user.id}", @operator.answer["Location"]
    search(" Ann@Shop.test")
    assert_equal 200, @operator.follow
    assert_includes @operator.body, "names the email"
    assert_includes @operator.body, "gives the id vid:901"
    assert_includes @operator.body, "HubSpot said which email it held"
    refute_includes @operator.body, "ann@"
    search("vid:901")
    @operator.follow
    assert_includes @operator.body, "/vidcache/user?key=#{user.id}"
    seen = @operator.json("/user?key=#{user.id}")
    assert_equal [{ "names_the_email" => true, "id" => "vid:901", "reason" => "agreed" }, "901"], [seen["page"], seen.dig("held", "vid")]
    refute_match(/fingerprint|@/, @operator.body)
    refute_empty seen["history"]
    assert_equal 404, search("nobody@shop.test")
  end

  def test_read_again_asks_hubspot_and_believes_it
    vid = contact("ann@shop.test")
    user = User.create!(email: "ann@shop.test")
    @cache.link(user.id, vid)
    assert_equal :email_unconfirmed, reason(user)
    press("/user/read", "/user?key=#{user.id}")
    assert_equal :agreed, reason(user)
    @operator.follow
    assert_includes @operator.body, "what it said is recorded"
    call_nobody
    @operator.get("/user?key=#{user.id}")
    assert_equal 502, @operator.press("/user/read")
    assert_includes @operator.body, "config.vidcache.access_token is not set"
  end

  def test_retry_enqueues_the_job_of_each_change_and_looks_for_who_has_no_contact
    user = User.create!(email: "ann@shop.test")
    tokens = [@cache.begin_email_change(user.id), @cache.begin_email_change(user.id)]
    jobs.clear
    press("/user/retry", "/user?key=#{user.id}")
    assert_equal tokens.sort, self.tokens.sort
    jobs.each { |job| assert_in_delta Time.now.to_f + @cache.quiet_period, job[:at], 2 }
    tokens.each { |token| @cache.abandon_email_change(user.id, token) }
    jobs.clear
    press("/user/retry", "/user?key=#{user.id}")
    assert_equal [nil], self.tokens
    confirm(user.id, "ann@shop.test")
    jobs.clear
    assert_equal 409, @operator.get("/user?key=#{user.id}") && @operator.press("/user/retry")
    assert_empty jobs
  end

  def test_forget_asks_first_and_waits_for_the_user_s_job
    user = agreed_user
    @operator.get("/user?key=#{user.id}")
    refute_includes @operator.forms.keys, "/user/forget"
    @operator.get("/user/forget?key=#{user.id}")
    assert_includes @operator.body, "There is no way back."
    assert_includes @operator.body, "The app still has this user"
    lease = @cache.lease(user.id, 60)
    assert_equal 409, @operator.press("/user/forget")
    assert_equal 901, @cache.resolve(user.id)
    @cache.release(user.id, lease)
    press("/user/forget", "/user/forget?key=#{user.id}")
    assert_nil @cache.resolve(user.id)
    assert @cache.lease(user.id, 1), "no lease is left"
  end

  def test_the_merge_names_who_survives_and_merges_those_two_and_no_others
    user = User.create!(email: "new@shop.test")
    mine = contact("old@shop.test")
    holder = contact("new@shop.test")
    @cache.link(user.id, mine)
    conflict(user, holder)
    assert_equal [holder.to_i], @operator.json("/conflicts")["conflicts"].map { |conflict| conflict["other"] }
    @operator.get("/conflicts")
    assert_includes @operator.body, "/conflict/merge?key=#{user.id}"
    @operator.get("/conflict/merge?key=#{user.id}")
    assert_match(/Contact #{mine}<.*It survives:.*Contact #{holder}<.*merged into contact #{mine}.*new id of its own.*vid:#{mine}/m, @operator.body)
    form = @operator.forms.fetch("/conflict/merge")
    [{ "other" => "4711" }, { "contact" => holder, "other" => mine }, { "other" => "" }].each do |change|
      assert_includes [400, 409], @operator.post("/conflict/merge", form.merge(change), "HTTP_SEC_FETCH_SITE" => "same-origin")
    end
    assert_equal %w[new@shop.test old@shop.test], @double.emails, "nothing was merged"
    heard = []
    ActiveSupport::Notifications.subscribed(->(*, payload) { heard << payload }, "web.vidcache") do
      assert_equal 303, @operator.post("/conflict/merge", form, "HTTP_SEC_FETCH_SITE" => "same-origin")
    end
    assert_equal [{ action: :merge, user_id: user.id.to_s, allowed: true, why: nil }], heard
    assert_equal %w[old@shop.test], @double.emails
    assert_empty @cache.conflicts
    assert_equal 404, @operator.post("/conflict/merge", form, "HTTP_SEC_FETCH_SITE" => "same-origin"), "once"
  end

  def test_who_has_no_contact_for_longer_than_an_hour_is_listed_and_the_reconcile_says_how_many_there_are
    old = User.create!(email: "old@shop.test", created_at: Time.now - 7200)
    User.create!(email: "new@shop.test")
    User.create!(email: nil, created_at: Time.now - 7200)
    assert_equal [old.id.to_s], @operator.json("/unlinked")["unlinked"].map { |user| user["user"] }
    heard = []
    listener = ->(*, payload) { heard << payload }
    ActiveSupport::Notifications.subscribed(listener, "reconcile.vidcache") { Vidcache::Reconcile.new(User, rate: 1000).run }
    assert_equal [1], heard.map { |payload| payload[:unlinked] }
    seen = @operator.json("/")
    assert_equal [1, 1], [seen.dig("unlinked", "users"), seen.dig("lately", "reconciles", "last_day")]
  end

  def test_a_file_that_cannot_be_used_is_said_and_no_more
    failing = ->(*) { raise Vidcache::Busy, "the file is busy" }
    Vidcache::Counts.stub(:new, failing) { assert_equal 503, @operator.get("/") }
    assert_includes @operator.body, "the file is busy"
  end

  def test_mounted_in_the_app_s_routes
    TestApp.add_routes { mount Vidcache::Web => "/ops/vidcache" }
    user = agreed_user
    operator = Operator.new(TestApp, mount: "", headers: {})
    assert_equal 200, operator.get("/ops/vidcache")
    assert_includes operator.body, %(href="/ops/vidcache/style.css")
    assert_equal 303, operator.press("/ops/vidcache/search", "what" => "ann@shop.test")
    assert_equal "/ops/vidcache/user?key=#{user.id}", operator.answer["Location"]
    assert_equal 200, operator.follow
    refute_match(/what=|ann%40|Parameters.*ann/, LOG.string)
  end

  # The stylesheet's colours, light and dark: WCAG's contrast of 4.5 for text, of 3 for what is drawn.
  def test_every_text_has_enough_contrast
    css = File.read(File.expand_path("../../lib/vidcache/rails/web/style.css", __dir__))
    light, dark = css.scan(/:root \{(.*?)\}/m).map { |(block)| block.scan(/--([\w-]+): (#\h{6})/).to_h }
    { "light" => light, "dark" => light.merge(dark) }.each do |name, colours|
      pairs = %w[text quiet link danger].product(%w[ground]) + [%w[text notice], %w[link notice], %w[on-accent accent], %w[on-danger danger]]
      pairs.each { |text, ground| assert_operator contrast(colours[text], colours[ground]), :>=, 4.5, "#{name}: #{text} on #{ground}" }
      bars = %w[one two three].product(%w[ground raised])
      bars.each { |bar, ground| assert_operator contrast(colours[bar], colours[ground]), :>=, 3, "#{name}: #{bar} on #{ground}" }
      assert_operator contrast(colours["quiet"], colours["ground"]), :>=, 3, "#{name}: the edge of a field"
    end
  end

  private

  def contact(email)
    @double.ask("POST", "/crm/v3/objects/contacts", { properties: { email: email } }).fetch("id")
  end

  def conflict(user, holder)
    refused = { status: "error", category: "CONFLICT", message: "Contact already exists. Existing ID: #{holder}" }
    assert_raises(Vidcache::ContactConflict) { @cache.record(user.id, refused) }
  end

  def search(text)
    @operator.get("/")
    @operator.press("/search", "what" => text)
  end

  def press(address, page)
    @operator.get(page)
    assert_equal 303, @operator.press(address), @operator.body
  end

  def stub_const(owner, name, value)
    before = owner.const_get(name)
    owner.send(:remove_const, name)
    owner.const_set(name, value)
    yield
  ensure
    owner.send(:remove_const, name)
    owner.const_set(name, before)
  end

  def contrast(one, other)
    lighter, darker = [one, other].map { |colour| luminance(colour) }.sort.reverse
    (lighter + 0.05) / (darker + 0.05)
  end

  def luminance(colour)
    parts = colour.delete("#").scan(/../).map { |part| part.hex / 255.0 }
    parts = parts.map { |part| part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055)**2.4 }
    (0.2126 * parts[0]) + (0.7152 * parts[1]) + (0.0722 * parts[2])
  end
end
