# frozen_string_literal: true

# One page for all of /app; public/spa does the rest.
class SpaController < ApplicationController
  layout false

  def show; end
end
