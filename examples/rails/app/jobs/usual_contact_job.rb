# frozen_string_literal: true

# What everyone does, for SNIPPET=usual: tells HubSpot as soon as there is a worker to do it. The contact's id is kept
# in vidcache's file, where others have a column for it.
class UsualContactJob < ApplicationJob
  # As Active Job has it under names that are not the same in all of its versions.
  retry_on HubspotApi::Error, wait: ->(executions) { (executions**4) + 2 }, attempts: 10

  # @param user [User]
  # @param change [Integer] of {EmailChange}
  def perform(user, change)
    UserLock.hold(user) do
      Vidcache.cache.record(user.id, tell(Vidcache.cache.resolve(user.id), user.reload.email))
    end
    EmailChange.finish(change)
  end

  private

  # @return [String] a contact as HubSpot answered it
  def tell(vid, email)
    vid ? Shop.hubspot.update(vid, email: email) : Shop.hubspot.create(email: email)
  rescue HubspotApi::Error => e
    # Another contact has that email already.
    raise unless e.code == 409

    vid ? Shop.hubspot.read(vid) : Shop.hubspot.read_by_email(email)
  end
end
