# frozen_string_literal: true

class PagesController < ApplicationController
  def home; end

  def show
    @number = params[:id].to_i
  end
end
