# frozen_string_literal: true

require "erubi"
require "json"
require "vidcache/rails/web/chart"

module Vidcache
  class Web
    # A screen as HTML: web/views/SCREEN.erb in web/views/layout.erb. Whatever a template writes is escaped, `<%==`
    # alone puts HTML in.
    #
    # @api private
    class View
      FOLDER = File.expand_path("views", __dir__)
      TITLES = { overview: "Overview", changes: "Outstanding changes", conflicts: "Conflicts", unlinked: "Users without a contact",
                 user: "User", contact: "Contact", confirm_forget: "Forget a user?", confirm_merge: "Merge two contacts?",
                 message: "vidcache" }.freeze
      # What the reasons mean, for who reads them for the first time.
      REASONS = { "change_outstanding" => "a change of their email is on its way", "email_unconfirmed" => "HubSpot has not said which email it holds",
                  "conflict" => "two contacts want one email, or two users one contact",
                  "confirmed_long_ago" => "nobody has read the contact for 30 days: pages name the email all the same" }.freeze
      LATELY = { "answers" => "Answers of HubSpot's recorded", "webhooks" => "Webhooks taken in", "refused_webhooks" => "Webhooks refused",
                 "jobs" => "Jobs that told HubSpot", "failed_jobs" => "Jobs that failed", "reconciles" => "Reconciles" }.freeze

      Dir.children(FOLDER).grep(/\.erb\z/).each do |file|
        path = "#{FOLDER}/#{file}"
        source = Erubi::Engine.new(File.read(path), escape: true, escapefunc: "escape", trim: true).src
        class_eval("def render_#{File.basename(file, ".erb")}; #{source}\nend", path, 1) # rubocop:disable Style/EvalWithLocation
      end

      # @param visit [Visit]
      # @param gate [Gate]
      # @param screen [Symbol]
      # @param data [Hash{Symbol => Object}] of {Screens}
      def initialize(visit, gate, screen, data)
        @visit = visit
        @gate = gate
        @screen = screen
        @data = data
      end

      # @return [String]
      def to_html
        @content = public_send("render_#{@screen}")
        render_layout
      end

      private

      attr_reader :data

      def escape(text)
        ERB::Util.html_escape(text.to_s)
      end

      def title
        TITLES.fetch(@screen)
      end

      def at(address, **query)
        query.empty? ? @visit.at(address) : "#{@visit.at(address)}?#{Rack::Utils.build_query(query)}"
      end

      # A link in the bar above, which says of itself that it is this page.
      def bar(address, text)
        here = @visit.path == address ? %( aria-current="page") : ""
        %(<a href="#{escape(at(address))}"#{here}>#{escape(text)}</a>)
      end

      def user_link(key)
        %(<a href="#{escape(at("/user", key: key))}">#{escape(key)}</a>)
      end

      def contact_link(vid)
        vid ? %(<a href="#{escape(at("/contact", id: vid))}">#{escape(vid)}</a>) : "none"
      end

      def time(moment)
        return "never" unless moment

        utc = moment.getutc
        %(<time datetime="#{utc.strftime("%Y-%m-%dT%H:%M:%SZ")}">#{utc.strftime("%-d %b %Y %H:%M")} UTC</time>, #{ago(moment)})
      end

      def ago(moment)
        seconds = (Time.now - moment).to_i
        seconds.negative? ? "in #{span(-seconds)}" : "#{span(seconds)} ago"
      end

      def span(seconds)
        return "#{seconds} s" if seconds < 90
        return "#{seconds / 60} min" if seconds < 5400
        return "#{(seconds / 3600.0).round} h" if seconds < 172_800

        "#{seconds / 86_400} days"
      end

      # A count that was broken off says so.
      def counted(number)
        number >= @data[:at_most] ? "#{delimited(@data[:at_most])} or more" : delimited(number)
      end

      def delimited(number)
        number.to_s.gsub(/(\d)(?=(\d{3})+\z)/, '\1,')
      end

      def bytes(number)
        return "none" unless number

        units = %w[bytes KiB MiB GiB TiB]
        power = number.zero? ? 0 : [(number.bit_length - 1) / 10, units.size - 1].min
        power.zero? ? "#{number} bytes" : "#{(number / (1024.0**power)).round(1)} #{units[power]}"
      end

      def job(trace)
        trace ? "#{escape(trace[:error])}, #{time(trace[:at])}" : "no failure is known"
      end

      # A table that is a list of its rows where the window is narrow: each cell then stands behind its column's name.
      # The roles are said, since what is no table to the stylesheet is none to some browsers.
      #
      # @param caption [String]
      # @param columns [Array<String>]
      # @param rows [Array<Array<String>>] HTML; the first of each row names it
      def table(caption, columns, rows)
        names = columns.map { |name| escape(name) }
        heads = names.map { |name| %(<th scope="col" role="columnheader">#{name}</th>) }
        lines = rows.map do |first, *others|
          cells = others.zip(names.drop(1)).map { |cell, name| %(<td role="cell" data-column="#{name}"><span>#{cell}</span></td>) }
          %(<tr role="row"><th scope="row" role="rowheader" data-column="#{names.first}"><span>#{first}</span></th>#{cells.join}</tr>)
        end
        %(<table role="table"><caption>#{escape(caption)}</caption><thead role="rowgroup"><tr role="row">#{heads.join}</tr></thead>) +
          %(<tbody role="rowgroup">#{lines.join("\n")}</tbody></table>)
      end

      def changes_table(caption)
        table(caption, ["User", "Begun", "Last failure of their job"],
              data[:changes].map { |change| [user_link(change[:user]), time(change[:begun]), job(change[:last_job])] })
      end

      def lately(words, now)
        return [escape(words), "not known", "–", "–"] unless now["at"]

        [escape(words), time(Time.at(now["at"])), delimited(now["last_hour"]), delimited(now["last_day"])]
      end

      def other_contact(conflict, whose: false)
        of = "; #{self.whose(conflict[:others_users])}" if whose && conflict[:other]
        "#{contact_link(conflict[:other])} #{why(conflict)}#{of}"
      end

      def merge_link(conflict)
        return "not possible: one contact is not known" unless conflict[:contact] && conflict[:other]

        %(<a href="#{escape(at("/conflict/merge", key: conflict[:user]))}">Merge contacts of #{escape(conflict[:user])}…</a>)
      end

      # A form of one button: {Gate} says who may press it.
      def button(address, text, fields, danger: false)
        inputs = { Gate::TOKEN => @gate.token(address), **fields.transform_keys(&:to_s) }
                 .map { |name, value| %(<input type="hidden" name="#{escape(name)}" value="#{escape(value)}">) }
        %(<form method="post" action="#{escape(at(address))}">#{inputs.join}<button#{" class=\"danger\"" if danger}>#{escape(text)}</button></form>)
      end

      def why(conflict)
        conflict[:why].to_s == "vid_taken" ? "is another user's contact" : "holds their email"
      end

      def whose(keys)
        keys.empty? ? "of no user of the app" : "of user #{keys.first(5).map { |key| user_link(key) }.join(", ")}"
      end
    end
  end
end
