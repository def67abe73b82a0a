# frozen_string_literal: true

# Tells HubSpot of a user's email and records what HubSpot answers.
class HubspotContactJob < ApplicationJob
  # The change stays outstanding until an attempt succeeds, and pages give the user's id alone as long. What runs out of attempts is
  # found again by User.retry_email_changes.
  retry_on HubspotApi::TryLater, wait: :exponentially_longer, attempts: 10
  retry_on Vidcache::Busy, wait: 1.second, attempts: 10
  discard_on ActiveJob::DeserializationError # The user is gone, and with it every page about them.

  # @param user [User]
  # @param change [Integer, nil] the token of the change that this job is for
  def perform(user, change = nil)
    UserLock.hold(user) do
      record(user, tell(user), change) if due?(user, change)
    end
    EmailChange.finish(change) if change
  end

  private

  # A queue may deliver a job twice. The second time the user may be in the middle of another change, which HubSpot must not be told
  # of yet.
  def due?(user, change)
    Shop.usual? || user.hubspot_email_due?(change)
  end

  # The email is read here, under the lock: of two jobs of one user, the later one to run sends the later email.
  #
  # @return [String] a contact as HubSpot answered it
  def tell(user)
    email = user.reload.email
    vid = Vidcache.cache.resolve(user.id)
    vid ? update(vid, email) : create(email)
  end

  def update(vid, email)
    Shop.hubspot.update(vid, email: email)
  rescue HubspotApi::NotFound
    create(email)
  rescue HubspotApi::Conflict
    # Another contact has this email. What this one has is recorded, which ends the change; app and HubSpot do
    # not agree, so pages give the id alone, until somebody merges the two.
    Shop.hubspot.read(vid)
  end

  def create(email)
    Shop.hubspot.create(email: email)
  rescue HubspotApi::Conflict
    # HubSpot knows this person already, from a form or a newsletter.
    Shop.hubspot.read_by_email(email)
  end

  def record(user, contact, change)
    Vidcache.cache.record(user.id, contact, change: Shop.usual? ? nil : change)
  rescue Vidcache::VidTaken
    # Two users of the shop, one contact at HubSpot. This user's pages go on saying what they said.
    logger.error("user #{user.id}: their contact is another user's")
  end
end
