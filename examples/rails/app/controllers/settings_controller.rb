# frozen_string_literal: true

class SettingsController < ApplicationController
  rescue_from Vidcache::Error, with: :not_now

  def show
    @user = current_user
  end

  def update
    # Another instance than the layout's: what was typed is not the user's email before it is saved.
    @user = User.find(current_user.id)
    if @user.update(params.permit(:email))
      redirect_to settings_path, status: :see_other, notice: "Your email was changed."
    else
      render :show, status: :unprocessable_entity
    end
  end

  private

  # The change could not be begun, so nothing was written.
  def not_now
    redirect_to settings_path, status: :see_other, alert: "Your email cannot be changed at the moment. Please try again."
  end
end
