# frozen_string_literal: true

# Two processes that were forked from one which had loaded the app. vidcache needs no hook here: it closes its file
# around a fork and both sides open it again.
workers 2
preload_app!
threads 1, 5
bind "tcp://127.0.0.1:#{ENV.fetch("PORT", 3000)}"
