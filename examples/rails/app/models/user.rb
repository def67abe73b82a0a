# frozen_string_literal: true

class User < ApplicationRecord
  has_many :email_changes, dependent: :delete_all

  normalize = ->(user) { user.email = user.email.to_s.strip.downcase }
  before_validation normalize
  validates :login, presence: true, uniqueness: true
  validates :email, format: { with: /\A[^@\s]+@[^@\s]+\.[^@\s]+\z/, message: "is no email address" }, uniqueness: true

  # For GET /jobs: what the worker has still to do.
  after_update -> { email_changes.create! }, if: :saved_change_to_email?

  if Shop.usual?
    # What everyone does: commit, then tell a worker.
    after_update_commit -> { HubspotContactJob.perform_later(self) }, if: :saved_change_to_email?
  else
    has_vid email: :email, job: "HubspotContactJob"
  end
end
