# frozen_string_literal: true

class User < ApplicationRecord
  has_many :email_changes, dependent: :delete_all

  before_validation { self.email = email.to_s.strip.downcase }
  validates :login, presence: true, uniqueness: true
  validates :email, format: { with: /\A[^@\s]+@[^@\s]+\.[^@\s]+\z/, message: "is no email address" }, uniqueness: true

  if Shop.usual?
    # What everyone does: commit, then tell a worker.
    after_update -> { email_changes.create! }, if: :saved_change_to_email?
    after_update_commit -> { UsualContactJob.perform_later(self, email_changes.last.token) }, if: :saved_change_to_email?
  else
    has_vid email: :email, job: "HubspotContactJob"
    after_update -> { email_changes.create!(token: vidcache_change) }, if: :saved_change_to_email?
  end
end
