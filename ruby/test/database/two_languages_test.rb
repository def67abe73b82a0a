# frozen_string_literal: true

ENV["VIDCACHE_TEST_STORE"] = "database"
require_relative "../rails/helper"
require_relative "../rails/support/processes"

# Pages in Rails and a worker in Python, of two projects with one database and nothing else in common.
class Vidcache::TwoLanguagesTest < Vidcache::RailsTest
  PYTHON = File.expand_path("../../../tmp/python/venv/bin/python", __dir__)
  # Does what stands in its standard input, a line each, and says what came of it.
  WORKER = <<~PYTHON
    import json, sys, time
    import django
    from django.conf import settings
    from django.db import models

    given = json.loads(sys.argv[1])
    jobs = []
    settings.configure(
        SECRET_KEY="x" * 60, USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **given["database"]}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "vidcache.django", "vidcache.django.database"],
        VIDCACHE={
            "store": "database", "portal_id": given["portal"], "secret": bytes.fromhex(given["secret"]), "page_deadline": 0.5,
            "access_token": "t", "api_url": given["hubspot"], "queue": lambda job, wait: jobs.append((job, time.time() + wait)),
        },
    )
    django.setup()
    from vidcache.django import get_cache, has_vid, queue
    from vidcache.django.contact_job import perform
    from vidcache.django.declaration import declaration_of

    @has_vid
    class User(models.Model):
        email = models.CharField(max_length=255)

        class Meta:
            app_label, managed, db_table = "shop", False, "users"

    def work(_):
        """Until no change is outstanding."""
        for change in get_cache().stale_changes(older_than=0):
            queue.enqueue(queue.payload(declaration_of(User), User.objects.get(pk=change.user), change=change.token), 0)
        while jobs:
            job, due = jobs.pop(0)
            time.sleep(max(due - time.time(), 0))
            again = perform(job)
            if again:
                jobs.append((again.payload, time.time() + again.wait))
        return len(get_cache().stale_changes(older_than=0))

    def save(given):
        user = User.objects.get(pk=given["id"])
        user.email = given["email"]
        user.save()
        return get_cache().decide(user.pk, user.email).reason

    def page(given):
        return get_cache().decide(given["id"], given["email"]).reason

    for line in sys.stdin:
        what, of_it = json.loads(line)
        print(json.dumps({"work": work, "save": save, "page": page}[what](of_it)), flush=True)
  PYTHON

  def setup
    skip HubspotDouble.missing if HubspotDouble.missing
    skip why_no_python if why_no_python
    super
    @cache = TestStore.open(@dir, page_deadline: 0.5)
    Vidcache.cache = @cache
    @processes = Processes.new
    @double = HubspotDouble.new(@processes, @dir)
    @worker = IO.popen([PYTHON, "-c", WORKER, JSON.generate(place), { err: "#{@dir}/worker.log" }], "r+")
  end

  def teardown
    return unless @worker

    @worker.close
    @processes.stop_all
    super
  end

  def test_what_rails_begins_python_tells_hubspot_of_and_what_python_begins_pages_of_rails_know
    user = agreed_user_at_hubspot
    assert_equal "agreed", worker(:page, id: user.id, email: user.email)

    user.update!(email: "new@shop.test")
    assert_equal :change_outstanding, reason(user)
    assert_equal "change_outstanding", worker(:page, id: user.id, email: "new@shop.test")
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    assert_equal 0, worker(:work)
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - began, :>, 5, "a quiet period"
    assert_equal [%w[new@shop.test], :agreed], [@double.emails, reason(user)]

    assert_equal "change_outstanding", worker(:save, id: user.id, email: "third@shop.test")
    assert_equal :change_outstanding, reason(user.reload)
    assert_equal 0, worker(:work)
    assert_equal ["third@shop.test", %w[third@shop.test], :agreed], [user.reload.email, @double.emails, reason(user)]

    User.transaction do
      user.update!(email: "gone@shop.test")
      assert_equal "agreed", worker(:page, id: user.id, email: "third@shop.test"), "nobody sees what is not committed"
      raise ActiveRecord::Rollback
    end
    assert_equal 0, worker(:work)
    assert_equal %w[third@shop.test], @double.emails
  end

  private

  def why_no_python
    return "the Python package is not built: bin/setup python && bindings/uniffi/python/tests/run --wheel" unless File.exist?(PYTHON)

    "#{PYTHON} has no vidcache: bindings/uniffi/python/tests/run --wheel" unless system(PYTHON, "-c", "import vidcache.django.database",
                                                                                        %i[out err] => File::NULL)
  end

  # Where the worker finds the database, with the key of the app's secret.
  def place
    at = ActiveRecord::Base.connection_db_config.configuration_hash
    database = { NAME: at[:database], USER: at[:username], HOST: at[:host] || at[:socket] }.compact
    { database: database, portal: HubspotDouble::PORTAL, secret: Vidcache.settings.secret.unpack1("H*"), hubspot: @double.url }
  end

  def agreed_user_at_hubspot
    uri = URI("#{@double.url}/crm/v3/objects/contacts")
    headers = { "Authorization" => "Bearer t", "Content-Type" => "application/json" }
    made = Net::HTTP.post(uri, JSON.generate(properties: { email: "ann@shop.test" }), headers).body
    User.create!(email: "ann@shop.test").tap do |user|
      @cache.record(user.id, made)
      jobs.clear
    end
  end

  def worker(what, **of_it)
    @worker.puts(JSON.generate([what, of_it]))
    said = @worker.gets
    said ? JSON.parse(said) : flunk(File.read("#{@dir}/worker.log"))
  end
end
