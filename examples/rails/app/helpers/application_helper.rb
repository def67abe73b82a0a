# frozen_string_literal: true

module ApplicationHelper
  # Why a page says what it says: one sentence for each of the decision's reasons.
  REASONS = {
    agreed: "The shop and HubSpot agree on your email.",
    change_outstanding: "You have changed your email, and HubSpot's answer is not recorded yet.",
    email_differs: "HubSpot holds another email for you than the shop.",
    email_unconfirmed: "HubSpot has not said which email it holds for you.",
    email_absent: "The shop has no email of yours.",
    not_linked: "The shop does not know which contact you are.",
    stale: "What the shop knows is too old to be said."
  }.freeze

  # @return [Array(String, String)] what this page tells HubSpot of the visitor, and why
  def told_hubspot
    return ["nothing", "You are not signed in."] unless current_user
    return ["your email, #{current_user.email}", "It always does, as most shops do."] if Shop.usual?

    decision = current_user.vidcache_decision
    named = [("your email, #{decision.email}," if decision.email), ("your contact id, #{decision.id}" if decision.id)]
    [named.compact.join(" and ").presence || "nothing", REASONS.fetch(decision.reason)]
  end
end
