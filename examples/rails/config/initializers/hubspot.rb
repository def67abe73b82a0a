# frozen_string_literal: true

Rails.application.config.vidcache.portal_id = Shop.portal
if Shop.several_hosts?
  Rails.application.config.vidcache.store = :database
else
  Rails.application.config.vidcache.path = Shop.data_dir.join("hubspot.vidcache")
end
# For the tests, which do not want to wait so long: 15 and 10 s are the defaults.
Rails.application.config.vidcache.quiet_period = ENV["QUIET_PERIOD"]
Rails.application.config.vidcache.page_deadline = ENV["PAGE_DEADLINE"]
