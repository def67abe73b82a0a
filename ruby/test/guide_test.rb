# frozen_string_literal: true

require "test_helper"

# docs/guides/ruby.md: its blocks run, one after another, as a reader would type them.
class GuideTest < CacheTest
  GUIDE = File.expand_path("../../docs/guides/ruby.md", __dir__)
  ANSWER = '{"id":"901","properties":{"email":"ann@home.test"},"updatedAt":"2026-03-01T10:05:00.000Z"}'

  # What an app has of its own: users, a queue, a HubSpot client.
  Users = Class.new do
    def update(_id, email:) = @email = email
    def email(_id) = @email
  end
  Queue = Class.new do
    attr_reader :jobs

    def push(*job) = (@jobs ||= []) << job
  end
  Hubspot = Class.new do
    def create(_email) = ANSWER
  end

  test "the blocks of the guide run, and its worker comes again while it is too early" do
    skip "the guide is not in the gem" unless File.exist?(GUIDE)
    open, page, change, worker, webhook, tests = File.read(GUIDE).scan(/^```ruby\n(.*?)^```$/m).flatten
    users, queue, hubspot, nonce, cache, token = Users.new, Queue.new, Hubspot.new, "n", nil, nil # rubocop:disable Style/ParallelAssignment
    app = binding
    Dir.mkdir(File.join(@folder, "storage"))
    open = open.sub("storage/", "#{@folder}/storage/").sub('ENV.fetch("VIDCACHE_SECRET")', SECRET.inspect)
    [open, page, change].each { |block| app.eval(block, GUIDE) }
    @caches << cache
    assert_equal [[42, token]], queue.jobs

    app.eval(worker, GUIDE)
    assert_equal 2, queue.jobs.size, "too early"
    # As if the change had begun an hour ago.
    app.eval(worker.sub("Time.now <", "Time.now + 3600 <"), GUIDE)
    assert_equal 901, cache.resolve(42)
    refute cache.change_outstanding?(42, token)

    assert_includes webhook, "Vidcache.verify_signature(client_secret, method: \"POST\""
    assert_equal true, app.eval(tests, GUIDE)
  end
end
