# frozen_string_literal: true

require_relative "helper"
require_relative "../clients"

# The job, against what HubSpot may answer. What it does against the double over HTTP is in install_generator_test.rb.
class Vidcache::ContactJobTest < Vidcache::RailsTest
  include Clients

  # Plays a client: calls are noted, answers come from the test.
  class Job < Vidcache::ContactJob
    cattr_accessor :calls, :answers

    private

    %i[update create read read_by_email].each do |name|
      define_method(name) do |*arguments|
        calls << [name, *arguments]
        answer = answers.shift
        answer.is_a?(Exception) ? raise(answer) : answer
      end
    end
  end

  def setup
    super
    Job.calls = []
    Job.answers = []
    @settings = Vidcache.settings
    with_quiet_period(0.05)
  end

  def teardown
    Vidcache.settings = nil
    super
  end

  def test_a_new_user_is_created_and_linked
    user = new_user
    run_job(user, nil, contact(901, "ann@shop.test"))
    assert_equal [[:create, "ann@shop.test"]], Job.calls
    assert_predicate user.vidcache_decision, :agreed?
    run_job(user, nil)
    assert_equal 1, Job.calls.size, "delivered twice, told once"
  end

  def test_the_email_is_the_user_s_present_one_and_the_token_finishes_the_change
    user = agreed_user
    token = change(user, "ann@new.test")
    user.update_columns(email: "ann@newer.test")
    run_job(User.find(user.id), token, contact(901, "ann@newer.test"))
    assert_equal [[:update, 901, "ann@newer.test"]], Job.calls
    assert_predicate User.find(user.id).vidcache_decision, :agreed?
    refute @cache.change_outstanding?(user.id, token)
  end

  def test_before_the_quiet_period_is_over_hubspot_is_told_nothing_and_the_job_comes_again
    with_quiet_period(60)
    user = agreed_user
    token = change(user, "ann@new.test", wait: false)
    run_job(user, token)
    assert_empty Job.calls
    assert_equal 1, jobs.size
    assert_in_delta 60, jobs.first[:at] - Time.now.to_f, 5
    assert_equal :change_outstanding, reason(user)
  end

  # Two processes on one file, each with a `page_deadline` of its own.
  def test_a_longer_deadline_that_was_announced_before_the_change_is_what_the_job_waits_for
    Vidcache.settings = nil
    other = announce(60)
    user = agreed_user
    user.update!(email: "ann@new.test")
    assert_in_delta 65, jobs.first[:at] - Time.now.to_f, 5
    jobs.clear
    run_job(user, user.vidcache_change)
    assert_empty Job.calls
    assert_in_delta 65, jobs.first[:at] - Time.now.to_f, 5
  ensure
    other&.close
  end

  def test_a_longer_deadline_that_was_announced_after_the_job_was_enqueued_is_waited_for_too
    Vidcache.settings = nil
    user = agreed_user
    user.update!(email: "ann@new.test")
    assert_in_delta 15, jobs.first[:at] - Time.now.to_f, 5
    jobs.clear
    announce(60).close # A process that is gone may have rendered pages.
    run_job(user, user.vidcache_change)
    assert_empty Job.calls
    assert_in_delta 65, jobs.first[:at] - Time.now.to_f, 5
  end

  def test_a_shorter_deadline_of_another_process_shortens_nothing
    Vidcache.settings = nil
    announce(0.1).close
    user = agreed_user
    user.update!(email: "ann@new.test")
    assert_in_delta 15, jobs.first[:at] - Time.now.to_f, 5
  end

  def test_a_quiet_period_of_the_app_s_own_counts_while_it_is_longer_than_every_deadline
    with_options(quiet_period: 40) do
      assert_in_delta 40, Vidcache.settings.quiet_period
      announce(39.5).close
      assert_in_delta 40, Vidcache.settings.quiet_period
      refute_includes LOG.string, "quiet_period"
      announce(40).close
      settings = Vidcache.settings
      2.times { assert_in_delta 45, settings.quiet_period }
    end
    assert_equal 1, LOG.string.scan("config.vidcache.quiet_period (40.0 s) is not longer than the page_deadline of a process").size
  end

  def test_where_the_file_cannot_say_the_job_is_enqueued_for_the_longest_time_that_there_is
    user = agreed_user
    Vidcache.settings = settings = Vidcache::Settings.new(TestApp.instance)
    settings.define_singleton_method(:quiet_period) { raise Vidcache::Storage, "disk" }
    user.update!(email: "ann@new.test")
    assert_in_delta 3605, jobs.first[:at] - Time.now.to_f, 5
    assert_equal [Vidcache::Storage], @reported.map(&:class)
    jobs.clear
    run_job(user, user.vidcache_change)
    assert_equal [[], 1], [Job.calls, jobs.size], "and the job, which cannot ask either, comes again"
  end

  def test_a_contact_that_is_gone_is_made_anew
    user = agreed_user
    token = change(user, "ann@new.test")
    gone = ApiError.new(404, '{"status":"error","message":"resource not found"}')
    run_job(user, token, gone, gone, gone)
    job = ActiveJob::Base.deserialize(jobs.shift.reject { |name, _| name.is_a?(Symbol) })
    Job.answers = [gone, gone, gone, contact(902, "ann@new.test")]
    job.perform_now
    assert_equal %i[update read read_by_email update read read_by_email create], Job.calls.map(&:first)
    assert_equal 902, @cache.resolve(user.id)
    assert_predicate User.find(user.id).vidcache_decision, :agreed?
  end

  def test_an_email_that_another_contact_holds_ends_the_change_with_the_id_alone
    user = agreed_user
    token = change(user, "taken@shop.test")
    taken = ApiError.new(409, '{"status":"error","category":"CONFLICT","message":"Contact already exists. Existing ID: 5"}')
    run_job(user, token, taken, contact(901, "ann@shop.test"))
    assert_equal [1, :change_outstanding], [jobs.size, reason(user)], "who holds it may let it go"
    run_job(user, token, taken, contact(901, "ann@shop.test"), executions: Vidcache::ContactJob::ATTEMPTS - 1)
    assert_equal [[:update, 901, "taken@shop.test"], [:read, 901]] * 2, Job.calls
    assert_equal :email_differs, reason(user)
    assert_equal [Vidcache::ContactConflict], @reported.map(&:class)
  end

  def test_an_answer_that_says_too_little_is_followed_by_reading
    { "nothing" => FaradayResponse.new(204, {}, ""), "v1's createOrUpdate" => { "vid" => 901, "isNew" => false },
      "no time" => { id: "901", properties: { email: "x@y.test" } } }.each do |what, answer|
      user = agreed_user
      token = change(user, "new@shop.test")
      run_job(user, token, answer, contact(901, "new@shop.test"))
      assert_equal [[[:update, 901, "new@shop.test"], [:read, 901]], :agreed], [Job.calls, reason(user)], what
      @cache.forget(user.id)
      user.destroy!
      Job.calls.clear
    end
    { "nothing" => [FaradayResponse.new(204, {}, ""), :read_by_email], "a vid" => [{ "vid" => 901 }, :read],
      "no time" => [{ id: "901", properties: {} }, :read] }.each do |what, (answer, read)|
      user = new_user
      run_job(user, nil, answer, contact(901, "ann@shop.test"))
      assert_equal [[:create, read], 901, :agreed], [Job.calls.map(&:first), @cache.resolve(user.id), reason(user)], what
      @cache.forget(user.id)
      user.destroy!
      Job.calls.clear
    end
  end

  def test_a_change_that_hubspot_did_not_carry_out_is_not_ended_by_reading
    user = agreed_user
    token = change(user, "new@shop.test")
    run_job(user, token, "{}", contact(901, "ann@shop.test"))
    assert_equal [1, :change_outstanding], [jobs.size, reason(user)]
    run_job(user, token, "{}", contact(901, "New@shop.test "))
    assert_equal :agreed, reason(user)
  end

  # An app's client whose objects carry no time, neither told nor read.
  def test_the_library_reads_itself_where_the_app_s_client_tells_no_more
    user = agreed_user
    token = change(user, "new@shop.test")
    asked = nil
    server = TCPServer.new("127.0.0.1", 0)
    body = JSON.generate(contact(901, "new@shop.test"))
    thread = Thread.new do
      client = server.accept
      asked = client.gets("\r\n\r\n")
      client.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
      client.close
    end
    with_options(access_token: "x", api_url: "http://127.0.0.1:#{server.addr[1]}", api_path: "/crm/objects/2026-03/contacts/") do
      settings = Vidcache.settings
      settings.define_singleton_method(:quiet_period) { 0.05 }
      Vidcache.settings = settings
      run_job(user, token, { "vid" => 901 }, { "vid" => 901 })
    end
    thread.join(5)
    assert_match(%r{\AGET /crm/objects/2026-03/contacts/901\?properties=email,hs_merged_object_ids,hs_additional_emails }, asked)
    assert_equal :agreed, reason(user)
  ensure
    server&.close
  end

  def test_a_refusal_for_good_ends_the_change_once
    refused = Class.new(Vidcache::Error) do
      def code
        :refused
      end
    end
    user = agreed_user
    token = change(user, "new@shop.test")
    run_job(user, token, refused.new("HubSpot refused: the email is none"), contact(901, "ann@shop.test"))
    assert_equal [%i[update read], :email_differs, [], 1], [Job.calls.map(&:first), reason(user), jobs, @reported.size]
    run_job(User.create!(email: "none").tap { jobs.clear }, nil, refused.new("HubSpot refused: the email is none"))
    assert_equal [[], 2], [jobs, @reported.size]
  end

  def test_a_queue_that_cannot_wait_breaks_no_save
    user = agreed_user
    job = Class.new(Job) { def enqueue(*) = raise(NotImplementedError, "no queue") }
    own = User.vidcache_job
    User.vidcache_job = job
    user.update!(email: "new@shop.test")
    assert_equal ["new@shop.test", :change_outstanding, [Vidcache::Error]], [user.reload.email, reason(user), @reported.map(&:class)]
  ensure
    User.vidcache_job = own
  end

  def test_a_new_user_whom_hubspot_knows_is_linked_to_that_contact
    user = new_user
    run_job(user, nil, ApiError.new(409), contact(77, "ann@shop.test"))
    assert_equal [[:create, "ann@shop.test"], [:read_by_email, "ann@shop.test"]], Job.calls
    assert_equal 77, @cache.resolve(user.id)
  end

  def test_a_client_that_returns_its_error_is_understood_as_one_that_raises_it
    user = new_user
    Job.answers = [[nil, 409, {}], contact(77, "ann@shop.test")]
    Job.perform_now(user, nil)
    assert_equal 77, @cache.resolve(user.id)
  end

  def test_a_limited_rate_is_waited_out_as_long_as_hubspot_says
    user = new_user
    run_job(user, nil, ApiError.new(429, "{}", { "Retry-After" => "17" }))
    assert_equal 1, jobs.size
    assert_in_delta 17, jobs.first[:at] - Time.now.to_f, 5
    assert_nil @cache.resolve(user.id)
  end

  def test_a_limit_that_hubspot_names_is_waited_out
    user = new_user
    run_job(user, nil, ApiError.new(429, '{"status":"error","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}'))
    assert_in_delta 10, jobs.first[:at] - Time.now.to_f, 2
  end

  def test_a_contact_that_is_gone_is_named_no_more_until_there_is_a_new_one
    user = agreed_user
    token = change(user, "ann@new.test")
    gone = '{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}'
    run_job(user, token, ApiError.new(404, gone), ApiError.new(500))
    assert_equal 1, jobs.size, "tried again"
    @cache.abandon_email_change(user.id, token)
    user.update_columns(email: "ann@shop.test")
    assert_equal :email_unconfirmed, reason(User.find(user.id))
  end

  # As a 404 that an app records itself, whatever its client makes of one.
  def test_whatever_a_client_says_it_with_the_core_hears_that_a_contact_is_gone
    gone = '{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}'
    { "hubspot-api-client raises" => ApiError.new(404, gone), "hubspot-ruby raises" => RequestError.new(TyphoeusResponse.new(404, {}, gone)),
      "Faraday raises" => RequestError.new({ status: 404, body: gone, headers: {} }), "Net::HTTP returns" => net_http(404, gone),
      "Net::HTTP raises" => assert_raises(Net::HTTPClientException) { net_http(404, gone).value } }.each_with_index do |(client, missing), index|
      email = "ann#{index}@shop.test"
      user = User.create!(email: email)
      confirm(user.id, email, vid: 901 + index)
      token = change(user, "new#{index}@shop.test")
      run_job(user, token, missing, ApiError.new(500))
      @cache.abandon_email_change(user.id, token)
      assert_equal [:email_unconfirmed, 901 + index], @cache.decide(user.id, email).to_h.values_at(:reason, :id), client
      assert_equal %i[update read], Job.calls.map(&:first), client
      Job.calls.clear
    end
  end

  def test_a_client_s_other_errors_say_what_their_response_says
    user = new_user
    run_job(user, nil, RequestError.new(TyphoeusResponse.new(429, { "Retry-After" => "17" }, "{}")))
    assert_in_delta 17, jobs.first[:at] - Time.now.to_f, 5
    Job.calls.clear
    run_job(user, nil, RequestError.new({ status: 409, body: {}, headers: {} }), contact(77, "ann@shop.test"))
    assert_equal %i[create read_by_email], Job.calls.map(&:first)
    assert_equal 77, @cache.resolve(user.id)
    Job.answers = [RequestError.new(nil)]
    bob = User.create!(email: "bob@shop.test")
    unreachable = assert_raises(Vidcache::Withheld, "nobody answered") { Job.new(bob, nil).perform(bob, nil) }
    assert_includes unreachable.message, "RequestError"
  end

  def test_without_a_token_it_says_so_and_tells_nobody
    user = new_user
    job = Vidcache::ContactJob.new(user, nil)
    job.perform_now
    assert_equal 1, jobs.size, "the next deploy may mend it"
    job.executions = Vidcache::ContactJob::ATTEMPTS
    error = assert_raises(Vidcache::NotConfigured) { job.perform_now }
    assert_equal "config.vidcache.access_token is not set", error.message
  end

  def test_a_token_that_was_read_with_its_line_s_end_is_not_repeated_by_an_error
    user = new_user
    heard = nil
    server = TCPServer.new("127.0.0.1", 0)
    thread = Thread.new do
      client = server.accept
      heard = client.gets("\r\n\r\n")
      client.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      client.close
    end
    with_options(access_token: "pat-0001\n", api_url: "http://127.0.0.1:#{server.addr[1]}") do
      Vidcache::ContactJob.new.send(:hubspot, "GET", "/x")
    end
    thread.join(5)
    assert_match(/^authorization: Bearer pat-0001\r$/i, heard)
    ["pat\n0001", "pat 0001", "pat\u00e9"].each do |token|
      error = with_options(access_token: token) { assert_raises(Vidcache::NotConfigured) { Vidcache::ContactJob.new.send(:hubspot, "GET", "/x") } }
      refute_includes error.message, "pat"
    end
    assert_equal 0, Job.calls.size, user.id
  ensure
    server&.close
  end

  # A client that quotes what it sent, or its cause does; a mistake in the app's override.
  def test_no_error_of_a_client_carries_an_email_into_a_report
    quoting = lambda do |error, cause|
      raise cause
    rescue StandardError
      begin
        raise error
      rescue StandardError => e
        e
      end
    end
    [URI::InvalidURIError.new("bad URI: https://api.hubapi.com/x/ann@shop.test"), ArgumentError.new("x/ann%40shop.test?idProperty=email"),
     quoting.call(RuntimeError.new("it failed"), RuntimeError.new('{"email":"ann@shop.test"}')),
     NoMethodError.new("undefined method for #<User email: \"ann@shop.test\">"),
     RuntimeError.new("\xFFann@shop.test")].each_with_index do |error, index|
      user = User.create!(email: "ann#{index}@shop.test")
      Job.answers = [error]
      job = Job.new(user, nil)
      raised = assert_raises(Vidcache::Withheld) { job.perform(user, nil) }
      assert_includes raised.message, error.class.name
      refute_match(/ann(@|%40)/n, told(raised))
    end
    own = Vidcache::CannotOpen.new("cannot open /srv/shop@v1.2/x: it is not writable")
    assert_same own, Vidcache::Failure.without_email(own)
    plain = RuntimeError.new("the connection failed")
    Job.answers = [plain]
    user = new_user
    assert_same plain, assert_raises(RuntimeError) { Job.new(user, nil).perform(user, nil) }
  end

  def test_neither_a_job_nor_its_log_has_an_email
    user = new_user
    token = change(user, "ann@new.test")
    Job.answers = [contact(901, "ann@new.test")]
    Job.perform_now(user, token)
    logged = LOG.string.lines.grep_v(/SELECT|INSERT|UPDATE|DELETE|TRANSACTION/)
    assert_match(/Performing .*Job/, logged.join)
    refute_match(/\w@/, logged.join + Job.new(user, token).serialize.to_s)
  end

  def test_what_may_pass_is_tried_again_and_given_up_in_the_end
    last = Vidcache::ContactJob::ATTEMPTS - 1
    [ApiError.new(500), ApiError.new(401), ApiError.new(429), Errno::ECONNREFUSED.new, Timeout::Error.new, IOError.new, [nil, 200, {}],
     "<html>soon back</html>", ActiveRecord::StatementTimeout.new, NoMethodError.new].each_with_index do |failure, index|
      user = User.create!(email: "ann#{index}@shop.test")
      confirm(user.id, "ann#{index}@shop.test", vid: 901 + index)
      token = change(user, "ann#{index}@new.test")
      run_job(user, token, failure, failure)
      assert_equal [1, 1], [jobs.size, jobs.first["executions"]], failure.class
      @cache.forget(user.id).then { confirm(user.id, "ann#{index}@shop.test", vid: 901 + index) } # And its lease.
      token = @cache.begin_email_change(user.id)
      sleep 0.002 # What was seen within the millisecond of its beginning is seen again by the job.
      @cache.see_email_change(token) if TestStore.database?
      sleep 0.06
      assert_raises(StandardError, failure.class) { run_job(user, token, failure, failure, executions: last) }
      assert_equal :change_outstanding, reason(user), "until retry_email_changes"
    end
  end

  def test_a_database_that_fails_loses_no_job
    user = agreed_user
    token = change(user, "ann@new.test")
    user.define_singleton_method(:reload) { |*| raise ActiveRecord::ConnectionNotEstablished }
    run_job(user, token)
    assert_equal 1, jobs.size
    data = jobs.shift.reject { |name, _| name.is_a?(Symbol) }
    User.stub(:find, ->(*) { raise ActiveRecord::StatementTimeout }) { ActiveJob::Base.execute(data) }
    assert_equal [1, token], [jobs.size, tokens.first], "nor one that cannot read whose it is"
    data = jobs.shift.reject { |name, _| name.is_a?(Symbol) }
    user.delete
    ActiveJob::Base.execute(data)
    assert_empty jobs, "the user is gone"
  end

  def test_a_contact_of_another_user_s_is_reported_and_breaks_nothing
    agreed_user
    user = User.create!(email: "bob@shop.test")
    run_job(user, nil, ApiError.new(409), contact(901, "bob@shop.test"))
    assert_equal [Vidcache::VidTaken], @reported.map(&:class)
    assert_nil @cache.resolve(user.id)
  end

  def test_a_change_to_no_email_of_a_user_without_a_contact_tells_nobody
    user = new_user
    token = change(user, nil)
    run_job(user, token)
    assert_empty Job.calls
    refute @cache.change_outstanding?(user.id, token)
  end

  def test_one_job_of_a_user_at_a_time
    user = new_user
    locked = false
    job = Job.new(user, nil)
    job.define_singleton_method(:exclusively) do |record, &block|
      locked = true
      record.with_lock(&block).tap { locked = false }
    end
    Job.calls = [].tap { |calls| calls.define_singleton_method(:<<) { |call| locked ? super(call) : raise("not locked") } }
    Job.answers = [contact(901, "ann@shop.test")]
    job.perform_now
    assert_equal 1, Job.calls.size
    assert_equal 901, @cache.resolve(user.id)
  end

  def test_records_and_conflicts_are_heard
    heard = []
    subscriptions = %w[record.vidcache conflict.vidcache].map do |name|
      ActiveSupport::Notifications.subscribe(name) { |*, payload| heard << [name, payload] }
    end
    user = new_user
    run_job(user, nil, contact(901, "ann@shop.test"))
    assert_equal ["record.vidcache", { user_id: user.id, vid: 901, change: nil, email_observed: true }], heard.first
    other = User.create!(email: "bob@shop.test")
    assert_raises(Vidcache::VidTaken) { confirm(other.id, "bob@shop.test", vid: 901) }
    assert_equal ["conflict.vidcache", :vid_taken], [heard.last.first, heard.last.last[:code]]
    run_job(User.create!(email: "eve@shop.test"), nil, ApiError.new(409, '{"status":"error","category":"CONFLICT","message":"Existing ID: 901"}'),
            contact(902, "eve@shop.test"))
    conflict, recorded = heard.last(2)
    assert_equal ["conflict.vidcache", 901, :contact_conflict], [conflict.first, *conflict.last.values_at(:vid, :code)]
    assert_equal "record.vidcache", recorded.first
    refute_match(/ann@|bob@|eve@/, heard.inspect)
    assert_includes LOG.string, "vidcache: nothing was recorded: vid_taken"
  ensure
    subscriptions&.each { |subscription| ActiveSupport::Notifications.unsubscribe(subscription) }
  end

  private

  def with_quiet_period(seconds)
    settings = Vidcache::Settings.new(TestApp.instance)
    settings.define_singleton_method(:quiet_period) { seconds }
    Vidcache.settings = settings
  end

  # @return [Vidcache::Cache] of another process, as far as the file knows
  def announce(deadline)
    TestStore.open(@dir, page_deadline: deadline)
  end

  def new_user
    User.create!(email: "ann@shop.test").tap { jobs.clear }
  end

  # @return [Integer] the change's token, once its quiet period is over
  def change(user, email, wait: true)
    user.update!(email: email)
    jobs.clear
    sleep 0.06 if wait
    user.vidcache_change
  end

  def run_job(user, token, *answers, executions: 0)
    Job.answers = answers
    Job.new(user, token).tap { |job| job.executions = executions }.perform_now
  end

  # All that a service for errors reads of one.
  def told(error)
    [error.message, error.full_message(highlight: false), error.inspect, (told(error.cause) if error.cause)].join.b
  end

  def contact(vid, email)
    { id: vid.to_s, properties: { email: email }, updatedAt: Time.now.utc.iso8601(3), archived: false }
  end
end
