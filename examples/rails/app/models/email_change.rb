# frozen_string_literal: true

# One change of an email that HubSpot has to be told of, written in the transaction of the change. The shop needs it only to
# count what is outstanding, across processes and for both ways of doing it: it is no part of the rule.
class EmailChange < ApplicationRecord
  belongs_to :user

  scope :pending, -> { where(finished_at: nil) }

  # There is one job for each change. Which of a user's jobs is for which of their changes makes no difference to the count.
  #
  # @param user [User]
  # @param job_id [String] the same in every attempt of a job, so a repeated one finishes nothing more
  # @return [void]
  def self.finish(user, job_id)
    transaction do
      oldest = pending.where(user: user).order(:id).first
      oldest&.update!(finished_at: Time.current, finished_by: job_id) unless finished?(job_id)
    end
  end

  # @return [Boolean] whether this job has done its work already
  def self.finished?(job_id)
    exists?(finished_by: job_id)
  end
end
