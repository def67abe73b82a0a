# frozen_string_literal: true

require_relative "../rails/helper"
require "minitest/mock"
require_relative "../rails/support/operator"

# Who may see the operators' page, who may press its buttons, and what is left of what they typed.
class Vidcache::WebGateTest < Vidcache::RailsTest
  BUTTONS = { "/user/read" => {}, "/user/retry" => {}, "/user/forget" => {}, "/conflict/merge" => { "contact" => "901", "other" => "977" } }.freeze
  SCREENS = %w[/ /changes /conflicts /unlinked /user?key=1 /contact?id=901 /user/forget?key=1 /style.css].freeze

  def setup
    super
    Rails.cache.clear
    @user = agreed_user
    @operator = Operator.new
    @heard = []
    @listening = ActiveSupport::Notifications.subscribe("web.vidcache") { |*, payload| @heard << payload }
  end

  def teardown
    ActiveSupport::Notifications.unsubscribe(@listening)
    Vidcache::Web.forget_who_may
    super
  end

  def test_in_production_it_is_closed_until_a_block_says_who_may
    %w[production staging].each do |env|
      in_env(env) { SCREENS.each { |address| assert_equal 403, @operator.get(address), address } }
    end
    assert_includes @operator.body, "Vidcache::Web.allow"
    refute_includes @operator.body, "901"
    in_env("development") { assert_equal 200, @operator.get("/") }
    Vidcache::Web.allow { |request| request.env["warden"] == :admin }
    in_env("production") { assert_equal 200, @operator.get("/", "warden" => :admin) }
    assert_raises(ArgumentError) { Vidcache::Web.allow }
  end

  def test_who_is_not_let_in_sees_nothing_and_presses_nothing
    @operator.get("/user?key=#{@user.id}")
    form = @operator.forms.fetch("/user/retry")
    Vidcache::Web.allow { |request| request.session_options && nil }
    SCREENS.each { |address| assert_equal 403, @operator.get(address), address }
    BUTTONS.each_key { |address| assert_equal 403, @operator.post(address, form, "HTTP_SEC_FETCH_SITE" => "same-origin"), address }
    assert_untouched
    assert_includes LOG.string, "the operators' page refused a button: You may not see this page."
  end

  def test_who_may_only_look_sees_everything_and_each_button_is_refused
    Vidcache::Web.allow { :look }
    assert_equal 200, @operator.get("/user?key=#{@user.id}")
    assert_equal ["/search"], @operator.forms.keys, "there are no buttons on their page"
    assert_equal 200, @operator.get("/user/forget?key=#{@user.id}")
    refute_includes @operator.forms.keys, "/user/forget"
    @heard.clear
    BUTTONS.each do |address, fields|
      # With a token as good as one of those who may.
      token = token_of(address)
      status = @operator.post(address, { "key" => @user.id.to_s, "token" => token, **fields }, "HTTP_SEC_FETCH_SITE" => "same-origin")
      assert_equal 403, status, address
    end
    assert_equal [[:read, false, :only_looks], [:retry, false, :only_looks], [:forget, false, :only_looks], [:merge, false, :only_looks]],
                 @heard.map { |payload| payload.values_at(:action, :allowed, :why) }
    assert_equal [nil], @heard.map { |payload| payload[:user_id] }.uniq
    assert_untouched
    assert_equal 303, search(@user.id.to_s), "to look for somebody is to look"
  end

  def test_a_button_that_was_pressed_elsewhere_does_nothing
    @operator.get("/user/forget?key=#{@user.id}")
    elsewhere = [{ "HTTP_SEC_FETCH_SITE" => "cross-site" }, { "HTTP_SEC_FETCH_SITE" => "same-site" }, { "HTTP_SEC_FETCH_SITE" => "none" },
                 { "HTTP_SEC_FETCH_SITE" => nil }, { "HTTP_SEC_FETCH_SITE" => nil, "HTTP_ORIGIN" => "https://evil.test" },
                 { "HTTP_SEC_FETCH_SITE" => nil, "HTTP_ORIGIN" => "null" },
                 { "HTTP_SEC_FETCH_SITE" => nil, "HTTP_ORIGIN" => "https://shop.test:8443" },
                 { "HTTP_SEC_FETCH_SITE" => nil, "HTTP_ORIGIN" => "https://shop.test.evil.test" },
                 { "HTTP_SEC_FETCH_SITE" => "cross-site", "HTTP_ORIGIN" => "https://shop.test" }]
    form = @operator.forms.fetch("/user/forget")
    elsewhere.each { |headers| assert_equal 403, @operator.post("/user/forget", form, headers), headers.to_s }
    assert_untouched
    # The search, too: whose email is known is nobody's business.
    @operator.get("/")
    assert_equal 403, @operator.press("/search", { "what" => @user.email }, "HTTP_SEC_FETCH_SITE" => "cross-site")
    @operator.get("/user/forget?key=#{@user.id}")
    assert_equal 303, @operator.press("/user/forget", {}, "HTTP_SEC_FETCH_SITE" => nil, "HTTP_ORIGIN" => "https://shop.test")
  end

  def test_a_token_is_of_one_browser_and_of_one_button
    @operator.get("/user?key=#{@user.id}")
    retrying = @operator.forms.fetch("/user/retry")
    @operator.get("/user/forget?key=#{@user.id}")
    form = @operator.forms.fetch("/user/forget")
    other = Operator.new
    other.get("/")
    [[@operator, retrying], [@operator, form.except("token")], [@operator, form.merge("token" => "")], [@operator, form.merge("token" => "0" * 64)],
     [other, form], [Operator.new, form]].each do |who, fields|
      assert_equal 403, who.post("/user/forget", fields, "HTTP_SEC_FETCH_SITE" => "same-origin")
    end
    assert_untouched
    new = Operator.new.tap { |operator| operator.get("/") }
    assert_match(%r{\Avidcache_form=\h{32}; Path=/vidcache; HttpOnly; SameSite=Strict\z}, new.answer["Set-Cookie"])
    secure = Operator.new(headers: { "rack.url_scheme" => "https", "HTTPS" => "on" })
    secure.get("/")
    assert_includes secure.answer["Set-Cookie"], "; Secure"
  end

  def test_nothing_frames_it_and_nothing_runs_in_it
    SCREENS.each do |address|
      @operator.get(address)
      policy = @operator.answer["Content-Security-Policy"]
      ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"].each { |part| assert_includes policy, part }
      refute_match(/unsafe|script-src|\*/, policy)
      { "X-Frame-Options" => "DENY", "X-Content-Type-Options" => "nosniff", "Referrer-Policy" => "same-origin" }
        .each { |name, value| assert_equal value, @operator.answer[name] }
      assert_includes @operator.answer["Cache-Control"], "private"
      refute_match(/<script|<style|\sstyle=|\son[a-z]+=|javascript:|https?:/, @operator.body)
    end
  end

  def test_each_button_is_a_post_and_each_screen_a_get
    BUTTONS.each_key { |address| refute_equal 200, @operator.get(address) unless address.match?(/forget|merge/) }
    assert_equal 405, @operator.get("/search")
    %w[PUT PATCH DELETE OPTIONS].each do |method|
      status, = Vidcache::Web.call(Rack::MockRequest.env_for("/user/forget?key=#{@user.id}", method: method))
      assert_equal 405, status
    end
    assert_equal 405, @operator.post("/changes", {}, "HTTP_SEC_FETCH_SITE" => "same-origin")
    assert_equal 404, @operator.get("/elsewhere")
    status, _, body = Vidcache::Web.call(Rack::MockRequest.env_for("/", method: "HEAD"))
    assert_equal [200, []], [status, body]
    assert_untouched
  end

  def test_an_email_that_is_looked_for_is_kept_nowhere
    other = User.create!(email: "Second.Person@shop.test")
    clear_log
    queries = []
    subscription = ActiveSupport::Notifications.subscribe(/vidcache/) { |*, payload| queries << payload.inspect }
    { "ann@shop.test" => 303, " ANN@Shop.test " => 303, "Second.Person@shop.test" => 303, "nobody.such@shop.test" => 404 }.each do |email, status|
      # As Rails has it, where Rack::MethodOverride has read the form before.
      assert_equal status, search(email, Rack::MethodOverride.new(Vidcache::Web)), email
      assert_no_email(@operator.answer.headers.to_s, @operator.body, @operator.env.inspect, everything_in_the_cache, queries.join, LOG.string)
      assert_equal "", @operator.env["rack.input"].read
    end
    assert_equal 303, search("second.person@shop.test".sub("second.person", "Second.Person"))
    assert_equal "/vidcache/user?key=#{other.id}", @operator.answer["Location"]
    assert_equal 400, @operator.get("/user?key=ann%40shop.test"), "an email stands in no address"
    assert_no_email(@operator.body, LOG.string)
  ensure
    ActiveSupport::Notifications.unsubscribe(subscription)
  end

  def test_what_fails_below_tells_nobody_the_email
    failing = ->(*) { raise ActiveRecord::StatementInvalid, "no such collation: 'ann@shop.test'" }
    @operator.get("/")
    clear_log
    Vidcache::Web::People.stub(:by_email, failing) { assert_equal 500, @operator.press("/search", "what" => "ann@shop.test") }
    assert_no_email(@operator.body, LOG.string, @reported.map(&:message).join)
    assert_equal [Vidcache::Withheld], @reported.map(&:class)
  end

  HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' OR 1=1 --", "%00", "\0", "\xFF\xFE", "../../etc/passwd", "a" * 400,
             "{{7*7}}", "<%= 1 %>", "\r\nSet-Cookie: a=b", "vid:0", "vid:99999999999999999999", "vid:-1", "0x1f", "١٢٣", "javascript:alert(1)",
             "1; DROP TABLE users", "🦀", "key[]=1", "\u202Eevil", "9" * 40].freeze

  def test_hostile_names_of_users_and_contacts_are_text_or_refused
    HOSTILE.each do |text|
      status = search(text)
      assert_includes [303, 400, 404], status, text
      assert_harmless(text)
      @operator.follow if status == 303
      assert_harmless(text)
      ["/user?key=", "/contact?id=", "/user/forget?key=", "/conflict/merge?key=", "/user?key[]=", "/user?key=1&done="].each do |address|
        assert_includes [200, 400, 404, 409], @operator.get(address + CGI.escape(text)), address + text
        assert_harmless(text)
      end
    end
    assert_untouched
  end

  private

  def in_env(name)
    before = Rails.env
    Rails.env = name
    yield
  ensure
    Rails.env = before
  end

  def search(text, app = Vidcache::Web)
    @operator = Operator.new(app)
    @operator.get("/")
    @operator.press("/search", "what" => text)
  end

  def clear_log
    LOG.string = +""
  end

  # Of this browser, for any button, as one who may press it has it.
  def token_of(address)
    visit = Vidcache::Web::Visit.new(@operator.env)
    Vidcache::Web::Gate.new(visit, nil).token(address)
  end

  def everything_in_the_cache
    Rails.cache.instance_variable_get(:@data).inspect
  end

  def assert_no_email(*texts)
    texts.each { |text| refute_match(/@shop|%40shop|nobody\.such|second\.person/i, text) }
  end

  def assert_harmless(text)
    refute_match(/<script|<img|onerror=alert\(1\)>/, @operator.body)
    assert_nil @operator.answer["Set-Cookie"]&.match(/a=b/), text
    refute_match(/[\r\n]/, @operator.answer["Location"].to_s)
  end

  def assert_untouched
    assert_equal [901, :agreed], [@cache.resolve(@user.id), reason(@user)]
    assert_empty jobs
  end
end
