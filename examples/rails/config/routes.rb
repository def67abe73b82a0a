# frozen_string_literal: true

Rails.application.routes.draw do
  root "pages#home"
  resources :pages, only: :show, constraints: { id: /[1-9]/ }

  get "sign_in", to: "sessions#new"
  post "sign_in", to: "sessions#create"
  delete "sign_in", to: "sessions#destroy"

  resource :settings, only: %i[show update]

  get "turbo.js", to: "scripts#turbo" if Shop.turbo

  get "up", to: "status#up"
  get "jobs", to: "status#jobs"
end
