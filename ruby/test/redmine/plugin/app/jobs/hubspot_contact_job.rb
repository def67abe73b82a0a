# frozen_string_literal: true

class HubspotContactJob < Vidcache::ContactJob
end
