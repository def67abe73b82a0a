# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# Random walks: whatever answers are lost, whatever HubSpot says besides, in whatever order jobs come and however often,
# whatever becomes of the contact at HubSpot, and wherever the file is lost, a user ends with one contact, which is
# agreed on; and no page names what HubSpot does not hold, for as long as it may name anything. VIDCACHE_WALKS says how
# many, VIDCACHE_SEED which.
class Vidcache::ContactJobWalksTest < Vidcache::RailsTest
  include PortalJobs

  NOT_FOUND = Clients::ApiError.new(404, '{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}')
  FAULTS = [:lost, :lost, :lost, Clients::ApiError.new(500, "<html>"), Clients::ApiError.new(503, "{}"), "<html>soon back</html>", "", [nil, 204, {}],
            Clients::ApiError.new(429, "{}"), Errno::ECONNRESET.new, Timeout::Error.new, Clients::ApiError.new(401, '{"status":"error"}'),
            "{}", "[]", "null", '{"id":"x"}', '{"status":"error","message":"?"}'].freeze
  # Seconds: how long after the beginning of a change HubSpot is told, and how long a page may name an email.
  QUIET = 0.2
  DEADLINE = 0.19
  CALLS = %i[update create read read_by_email].freeze

  def test_every_walk_ends_with_one_contact_that_is_agreed_on
    seed = Integer(ENV.fetch("VIDCACHE_SEED", Random.new_seed % 1_000_000))
    walks = Integer(ENV.fetch("VIDCACHE_WALKS", 12))
    walks.times do |n|
      @random = Random.new(seed + n)
      without_waiting_an_hour { walk(n) }
      again = "VIDCACHE_SEED=#{seed + n} VIDCACHE_WALKS=1: #{@steps.join(", ")}"
      assert_equal [[@user.reload.email], :agreed], [@portal.emails, reason(@user)], again
    end
  end

  private

  def walk(number)
    @portal = PortalJobs::Job.portal = Portal.new(1000 * (number + 1))
    @steps = []
    @pages = []
    lease_of(0.05)
    quiet_period(QUIET)
    jobs.clear
    start(number)
    faults = 4
    14.times do
      case @random.rand(13)
      when 0, 1 then change(number)
      when 2 then note(:again) { jobs << jobs.sample(random: @random).dup if jobs.any? }
      when 3 then note(:reordered) { jobs.shuffle!(random: @random) }
      when 4, 5
        faults -= 1
        fault if faults.positive?
      when 6 then note(:file_lost) { lose_the_file }
      when 7 then elsewhere
      else note(:job) { perform_next if jobs.any? }
      end
    end
    @portal.quiet
    sleep 0.05
    # What a reconcile does: whoever is linked to no contact, or to one that is gone, is looked at again.
    change(number, :last) if linked(@user).nil? || !@portal.there?(linked(@user))
    drain(150)
    retry_changes
    assert_operator @portal.emails.size, :<=, 1, @steps.join(", ")
    return if linked(@user) && @portal.there?(linked(@user))

    # Who went with a file is not made again unless the app says so.
    assert_includes @steps, ":file_lost"
    retry_changes(create: true)
  end

  def retry_changes(**options)
    sleep QUIET + 0.01
    User.retry_email_changes(older_than: 0, **options)
    drain(150)
  end

  # A form, a merge of the user's contact with another one, in HubSpot; the user's own one is found in it.
  def elsewhere
    vid = linked(@user) or return
    return unless @portal.there?(vid) && jobs.empty?

    return note(:form) { @portal.delete(vid) && @portal.add(@user.reload.email) } if @random.rand(2).zero?

    note(:merge) { @portal.merge(vid, @portal.add("other-#{vid}@shop.test")) }
  end

  def without_waiting_an_hour
    longest = Vidcache::Settings::LONGEST
    set = lambda do |seconds|
      Vidcache::Settings.send(:remove_const, :LONGEST)
      Vidcache::Settings.const_set(:LONGEST, seconds)
    end
    set.call(QUIET)
    yield
  ensure
    set&.call(longest)
  end

  def start(number)
    @user = User.create!(email: "walk#{number}@shop.test")
    case @random.rand(3)
    when 0 then note(:new)
    when 1 then note(:linked) { drain }
    else
      note(:of_old) { @portal.add(@user.email) }
      jobs.clear
      change(number)
    end
  end

  def change(number, to = @random.rand(3))
    note(:change) { @user.update!(email: "walk#{number}-#{to}@shop.test") }
  end

  def fault
    name = CALLS.sample(random: @random)
    fault = FAULTS.sample(random: @random)
    note([name, fault.is_a?(Symbol) ? fault : fault.inspect[0, 40]]) { @portal.answer_with(name, fault) }
  end

  def note(step)
    @steps << step.inspect
    yield if block_given?
    see_a_page
  end

  def perform_next
    see_a_page
    super
    see_a_page
  end

  # A page that is rendered now, and those that are open.
  def see_a_page
    user = User.find_by(id: @user&.id) or return
    email = user.vidcache_decision.email
    @pages << [email, Time.now] if email
    assert_includes @portal.emails, email, "a page names what HubSpot does not hold: #{@steps.join(", ")}" if email
    late = @portal.let_go.find { |gone, at| @pages.any? { |named, since| named == gone && (0...DEADLINE).cover?(at - since) } }
    assert_nil late, "HubSpot let go of what a page names: #{@steps.join(", ")}"
  end
end
