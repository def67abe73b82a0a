# frozen_string_literal: true

require_relative "helper"
require_relative "support/portal_job"

# The file is a cache: what a job knows, and HubSpot, make it anew.
class Vidcache::ContactJobLostFileTest < Vidcache::RailsTest
  include PortalJobs

  def test_a_job_whose_change_is_not_in_the_file_begins_its_own_waits_and_tells
    user = signed_up
    vid = linked(user)
    user.update!(email: "new@shop.test")
    lose_the_file
    token = jobs.first["arguments"][1]
    perform_next
    assert_equal [["ann@shop.test"], [Vidcache::UnknownChange]], [@portal.emails, @reported.map(&:class)]
    own = jobs.first["arguments"][1]
    refute_equal token, own
    assert_equal [own], outstanding, "so pages name nobody from here on"
    assert_in_delta 3605, jobs.first[:at] - Time.now.to_f, 5, "a process with an hour's deadline may have rendered from the lost file"

    perform_next # A queue that does not wait.
    assert_in_delta 3605, jobs.first[:at] - Time.now.to_f, 5
    assert_equal ["ann@shop.test"], @portal.emails
    in_an_hour { perform_next }
    assert_equal [["new@shop.test"], vid, :agreed], [@portal.emails, linked(user), reason(user)]
    assert_empty jobs
  end

  def test_a_file_of_yesterday_has_the_links_and_not_the_change
    user = signed_up
    vid = linked(user)
    copy = "#{@dir}/yesterday"
    @cache.close
    FileUtils.cp("#{@dir}/hubspot.vidcache", copy)
    open_anew
    user.update!(email: "new@shop.test")
    lose_the_file { FileUtils.cp(copy, "#{@dir}/hubspot.vidcache") }
    perform_next
    in_an_hour { perform_next }
    assert_equal [["new@shop.test"], vid, :agreed], [@portal.emails, linked(user), reason(user)]
  end

  def test_no_contact_is_made_of_whom_hubspot_knows_neither_email_unless_the_app_says_so
    user = signed_up
    @portal.delete(linked(user))
    user.update!(email: "new@shop.test")
    lose_the_file
    perform_next
    in_an_hour { perform_next }
    assert_equal [[], 1], [@portal.emails, jobs.size], "asked a second time before that"
    in_an_hour { drain }
    assert_equal [[], 1], [@portal.emails, outstanding.size], "it may have them under one that the lost file knew"
    assert_equal [Vidcache::UnknownChange, Vidcache::ContactMissing], @reported.map(&:class)
    User.retry_email_changes(older_than: 0, create: true)
    drain
    assert_equal [["new@shop.test"], :agreed], [@portal.emails, reason(user)]
  end
end
