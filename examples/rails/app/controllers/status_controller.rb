# frozen_string_literal: true

# For those who start the shop, not for its customers.
class StatusController < ApplicationController
  skip_before_action :require_sign_in

  def up
    User.count
    head :ok
  end

  def jobs
    render json: { pending: EmailChange.pending.count }
  end
end
