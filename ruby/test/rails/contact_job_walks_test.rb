# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# Random walks: whatever answers are lost, whatever HubSpot says besides, in whatever order jobs come and however often, a user ends with
# one contact, which is agreed on. VIDCACHE_WALKS says how many, VIDCACHE_SEED which.
class Vidcache::ContactJobWalksTest < Vidcache::RailsTest
  include PortalJobs

  NOT_FOUND = Clients::ApiError.new(404, '{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}')
  FAULTS = [:lost, :lost, :lost, Clients::ApiError.new(500, "<html>"), Clients::ApiError.new(503, "{}"), "<html>soon back</html>", "", [nil, 204, {}],
            Clients::ApiError.new(429, "{}"), Errno::ECONNRESET.new, Timeout::Error.new, Clients::ApiError.new(401, '{"status":"error"}'),
            "{}", "[]", "null", '{"id":"x"}', '{"status":"error","message":"?"}'].freeze
  CALLS = %i[update create read read_by_email].freeze

  def test_every_walk_ends_with_one_contact_that_is_agreed_on
    seed = Integer(ENV.fetch("VIDCACHE_SEED", Random.new_seed % 1_000_000))
    walks = Integer(ENV.fetch("VIDCACHE_WALKS", 12))
    walks.times do |n|
      @random = Random.new(seed + n)
      walk(n)
      assert_equal [[@user.reload.email], :agreed], [@portal.emails, reason(@user)], "VIDCACHE_SEED=#{seed + n} VIDCACHE_WALKS=1: #{@steps.join(", ")}"
    end
  end

  private

  def walk(number)
    @portal = PortalJobs::Job.portal = Portal.new(1000 * (number + 1))
    @steps = []
    lease_of(0.05)
    jobs.clear
    start(number)
    faults = 4
    12.times do
      case @random.rand(10)
      when 0, 1 then change(number)
      when 2 then note(:again) { jobs << jobs.sample(random: @random).dup if jobs.any? }
      when 3 then note(:reordered) { jobs.shuffle!(random: @random) }
      when 4, 5
        faults -= 1
        fault if faults.positive?
      else note(:job) { perform_next if jobs.any? }
      end
    end
    @portal.quiet
    sleep 0.05
    drain(100)
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

  def change(number)
    note(:change) { @user.update!(email: "walk#{number}-#{@random.rand(3)}@shop.test") }
  end

  def fault
    name = CALLS.sample(random: @random)
    fault = FAULTS.sample(random: @random)
    note([name, fault.is_a?(Symbol) ? fault : fault.inspect[0, 40]]) { @portal.answer_with(name, fault) }
  end

  def note(step)
    @steps << step.inspect
    yield if block_given?
  end
end
