# frozen_string_literal: true

module Vidcache
  # What becomes of a user's save while the file cannot be opened or written: `config.vidcache.when_unavailable`.
  #
  # - `:raise` (the default outside development): the save raises, and nothing is written.
  # - `:save` (in development): the row is saved. Its job begins the change once it can, and tells HubSpot an hour after
  #   that: what was known of pages may have gone with the file. Nobody else knows of the change until then, so the
  #   queue has to keep its jobs; the job is tried until the file is back. A page names no email meanwhile but one that
  #   HubSpot holds: the row's new email is none that was confirmed.
  #
  # A new row is saved too, and if its key was another user's before, that is found out by the job: until then the page
  # of that row gives the other user's id. So `:save` is not for a database that hands keys out again.
  #
  # The job has to be a {ContactJob}: another one takes the token of a change that was begun.
  #
  # @api private
  module Unavailable
    # In the place of a change's token.
    NOT_BEGUN = :not_begun

    OUTCOME = "a user was saved without the file: the job makes up for it once the file is back"
    private_constant :OUTCOME

    # Whether the save goes on in spite of the error; then it is reported.
    #
    # @param error [Exception]
    # @param model [Class] with `has_vid`
    # @return [Boolean]
    def self.save?(error, model)
      return false unless Vidcache.settings.when_unavailable == :save && of_the_file?(error) && model.vidcache_job_makes_up?

      Failure.report_seldom(error, during: OUTCOME)
      true
    end

    # Of the file, and not of the caller's arguments or of a call that was ended.
    # @return [Boolean]
    def self.of_the_file?(error)
      return true if error.is_a?(SystemCallError)

      error.is_a?(Error) && error.code_number.to_i.between?(300, 499) && error.code != :cancelled
    end
  end
end
