# frozen_string_literal: true

class SettingsController < ApplicationController
  rescue_from Vidcache::Error, with: :not_now

  def show
    @user = current_user
  end

  def update
    # Another instance than the layout's: what was typed is not the user's email before it is saved.
    @user = User.find(current_user.id)
    changed = @user.update(params.permit(:email))
    respond_to do |format|
      format.html { changed ? redirect_to(settings_path, status: :see_other, notice: "Your email was changed.") : render(:show, status: :unprocessable_entity) }
      format.json { changed ? head(:no_content) : render(json: { errors: @user.errors.full_messages }, status: :unprocessable_entity) }
    end
  end

  private

  # The change could not be begun, so nothing was written.
  def not_now
    sorry = "Your email cannot be changed at the moment. Please try again."
    respond_to do |format|
      format.html { redirect_to settings_path, status: :see_other, alert: sorry }
      format.json { render json: { errors: [sorry] }, status: :service_unavailable }
    end
  end
end
