# frozen_string_literal: true

# Tells HubSpot of a user's email and records what HubSpot answers, with the shop's own client. When to tell, what to
# make of each answer and when to try again is the library's.
class HubspotContactJob < Vidcache::ContactJob
  # For the shop's own count of what is outstanding. A job that was put off has not finished its change.
  after_perform do
    user, change = arguments
    EmailChange.finish(change) if change && !user.hubspot_email_due?(change)
  end

  private

  def update(vid, email)
    Shop.hubspot.update(vid, email: email)
  end

  def create(email)
    Shop.hubspot.create(email: email)
  end

  def read(vid)
    Shop.hubspot.read(vid)
  end

  def read_by_email(email)
    Shop.hubspot.read_by_email(email)
  end
end
