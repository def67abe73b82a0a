# frozen_string_literal: true

# One change of an email that HubSpot has to be told of, written in the transaction of the change. The shop needs it
# only to count what is outstanding, across processes and for both ways of doing it (GET /jobs): it is no part of the
# rule.
class EmailChange < ApplicationRecord
  belongs_to :user

  # Vidcache's token of the change; the usual way has none, and gets a number.
  attribute :token, :integer, limit: 8, default: -> { SecureRandom.random_number(1 << 62) }

  scope :pending, -> { where(finished_at: nil) }

  # @param token [Integer]
  # @return [void]
  def self.finish(token)
    pending.where(token: token).update_all(finished_at: Time.current)
  end
end
