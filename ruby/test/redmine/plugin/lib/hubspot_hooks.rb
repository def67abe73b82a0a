# frozen_string_literal: true

# At the end of each page's body.
class HubspotHooks < Redmine::Hook::ViewListener
  render_on :view_layouts_base_body_bottom, partial: "hubspot/tag"
end
