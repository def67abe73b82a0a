# frozen_string_literal: true

# Who the visitor is, for the page that makes itself in the browser.
class MeController < ApplicationController
  skip_before_action :require_sign_in

  def show
    render json: { login: current_user&.login, email: current_user&.email, hubspot: hubspot }
  end

  private

  # `{}` would not do for a visitor who is not signed in: the data says how old it is.
  def hubspot
    return hubspot_tracking_data(current_user) unless Shop.usual?

    current_user ? { email: current_user.email } : {}
  end
end
