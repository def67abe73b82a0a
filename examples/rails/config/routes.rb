# frozen_string_literal: true

Rails.application.routes.draw do
  root "pages#home"
  resources :pages, only: :show, constraints: { id: /[1-9]/ }

  get "sign_in", to: "sessions#new"
  post "sign_in", to: "sessions#create"
  delete "sign_in", to: "sessions#destroy"

  resource :settings, only: %i[show update]

  # The shop once more, as a single-page app.
  get "app(/:view)", to: "spa#show"
  get "me", to: "me#show", constraints: { format: :json }

  get "vidcache.js", to: "scripts#vidcache"
  get "turbo.js", to: "scripts#turbo" if Shop.turbo

  get "up", to: "status#up"
  get "jobs", to: "status#jobs"
end
