# frozen_string_literal: true

# Without passwords: this shop sells nothing.
class SessionsController < ApplicationController
  skip_before_action :require_sign_in

  def new; end

  def create
    user = User.find_by(login: params[:login].to_s.strip)
    if user
      reset_session
      session[:user_id] = user.id
      redirect_to root_path
    else
      flash.now[:alert] = "There is no such customer."
      render :new, status: :unprocessable_entity
    end
  end

  def destroy
    reset_session
    flash[:hubspot_signed_out] = true
    redirect_to sign_in_path, status: :see_other
  end
end
