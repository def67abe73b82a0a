# frozen_string_literal: true

# All that a Redmine needs: this plugin, and the settings in config/additional_environment.rb. Redmine runs this file
# whenever it loads its classes.

Redmine::Plugin.register(:hubspot) do
  name "HubSpot"
  description "Tells HubSpot's tracking code who is signed in"
end

# A user's email is the default one of their addresses, in a table of its own; an account that nobody has activated yet
# may name somebody else's.
User.has_vid email: :mail, told_by: "EmailAddress", if: :active?
EmailAddress.has_vid_email_of :user
HubspotHooks
