"""The job that tells HubSpot of a user."""
