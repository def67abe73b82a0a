# frozen_string_literal: true

require_relative "portal_job"

# A model of users with a portal each, and of each portal a HubSpot in memory.
module Tenants
  include PortalJobs

  ONE = 62_515
  OTHER = 777

  # Of each portal its own HubSpot.
  class TenantJob < Vidcache::ContactJob
    cattr_accessor :portals

    private

    %i[update create read read_by_email].each do |name|
      define_method(name) { |*arguments| portals.fetch(Vidcache.cache.portal_id).public_send(name, *arguments) }
    end
  end

  def setup
    only(:file)
    super
    Vidcache.cache = nil
    Vidcache.settings = nil
    Vidcache::Portals.clear # The other tests' models say no portal.
    ActiveRecord::Schema.define { create_table(:tenant_members, force: true) { |t| t.string(:email) && t.integer(:portal) && t.timestamps } }
    @member = member_class("Member") { has_vid prefix: "member-", portal: :portal, job: TenantJob }
    TenantJob.portals = { ONE => Portal.new(100), OTHER => Portal.new(500) }
    TestApp.config.vidcache.update(portals: [ONE, OTHER], quiet_period: 0.2, page_deadline: 0.1, access_token: ->(portal) { "pat-#{portal}" })
  end

  def teardown
    if @member
      Object.send(:remove_const, :Member)
      Vidcache::Portals.clear
      %i[portals quiet_period page_deadline access_token client_secret].each { |name| TestApp.config.vidcache.delete(name) }
    end
    super
  end

  private

  def member_class(name, &body)
    Object.const_set(name, Class.new(ActiveRecord::Base) { self.table_name = "tenant_members" }).tap { |model| model.class_eval(&body) }
  end

  def sign_up(email, portal)
    @member.create!(email: email, portal: portal).tap { drain }
  end

  def page(user, **options)
    ActionView::Base.empty.hubspot_tracking_tag(user, **options)
  end

  def data(user, **options)
    JSON.parse(page(user, **options)[/\(window,document,(\{.*?\})\);/m, 1])
  end
end
