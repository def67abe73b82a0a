# frozen_string_literal: true

# Scripts that are files of other folders.
class ScriptsController < ApplicationController
  skip_before_action :require_sign_in
  skip_after_action :verify_same_origin_request

  def vidcache
    send_file Vidcache.page_script_path, type: "text/javascript", disposition: "inline"
  end

  def turbo
    send_file Shop.turbo, type: "text/javascript", disposition: "inline"
  end
end
