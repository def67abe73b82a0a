# frozen_string_literal: true

require "json"
require "net/http"
require "socket"
require "tmpdir"
require "timeout"

# Processes that a test starts, with what they print, and that end with it.
class Processes
  class Failed < StandardError; end

  def initialize
    @running = {}
  end

  # @param command [Array<String>]
  # @param env [Hash{String => String}] besides the present one
  # @param log [String] where its output goes
  # @return [Integer] its pid
  def start(*command, log:, env: {}, chdir: "/")
    pid = spawn(env, *command, out: log, err: %i[child out], in: File::NULL, chdir: chdir, pgroup: true)
    @running[pid] = log
    pid
  end

  # Waits until the block says something else than nil or false, and returns that.
  def wait(pid, seconds: 40)
    Timeout.timeout(seconds) do
      loop do
        done = yield and return done
        raise Failed, "ended with #{$?}:\n#{File.read(@running.fetch(pid))}" if Process.wait(pid, Process::WNOHANG)

        sleep 0.05
      end
    end
  rescue Timeout::Error
    raise Failed, "not ready after #{seconds} s:\n#{File.read(@running.fetch(pid))}"
  end

  def stop(pid)
    return unless @running.delete(pid)

    signal("TERM", pid)
    20.times do
      return if Process.wait(pid, Process::WNOHANG)

      sleep 0.25
    end
    signal("KILL", -pid)
    Process.wait(pid)
  rescue Errno::ECHILD
    nil
  end

  # Without a word.
  def kill(pid)
    @running.delete(pid)
    signal("KILL", -pid)
    Process.wait(pid)
  end

  def stop_all
    @running.keys.reverse_each { |pid| stop(pid) }
  end

  # @return [Integer] one that is free at the moment
  def self.free_port
    TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
  end

  private

  def signal(name, pid)
    Process.kill(name, pid)
  rescue Errno::ESRCH
    nil
  end
end

# A Redis of a test's own.
module RedisServer
  # @return [String, nil] why there can be none
  def self.missing
    "there is no redis-server here" unless system("redis-server", "--version", out: File::NULL)
  end

  # @return [String] its address
  def self.start(processes, folder)
    port = Processes.free_port
    log = File.join(folder, "redis.log")
    pid = processes.start("redis-server", "--port", port.to_s, "--bind", "127.0.0.1", "--save", "", "--dir", folder, log: log)
    processes.wait(pid) { File.read(log).include?("eady to accept connections") }
    "redis://127.0.0.1:#{port}/0"
  end
end

# The HubSpot double of this repository, in a process of its own.
class HubspotDouble
  SERVER = File.expand_path("../../../../tests/hubspot/server.mjs", __dir__)
  PORTAL = 62_515

  # @return [String, nil] why it cannot be started here
  def self.missing
    return "no HubSpot double at #{SERVER}" unless File.exist?(SERVER)

    "no node to run the HubSpot double" unless system("node", "--version", out: File::NULL, err: File::NULL)
  end

  attr_reader :url

  def initialize(processes, folder, delay_ms: 100)
    log = File.join(folder, "double.log")
    pid = processes.start("node", SERVER, "--portal", PORTAL.to_s, "--delay-ms", delay_ms.to_s, log: log)
    line = processes.wait(pid) { File.read(log)[/\{.*\}\n/] }
    @url = JSON.parse(line).fetch("url")
  end

  def state
    JSON.parse(Net::HTTP.get(URI("#{@url}/_double/state")))
  end

  # @return [Array<String>] the emails of its contacts
  def emails
    state.fetch("contacts").map { |contact| contact.fetch("email") }.sort
  end

  def configure(settings)
    send_json("PUT", "/_double/config", settings)
  end

  # As somebody else than the app under test would.
  def create(email)
    send_json("POST", "/crm/v3/objects/contacts", { properties: { email: email } })
  end

  # As somebody else would, too.
  def change(email, to:)
    vid = state.fetch("contacts").find { |contact| contact.fetch("email") == email }.fetch("vid")
    send_json("PATCH", "/crm/v3/objects/contacts/#{vid}", { properties: { email: to } })
  end

  # @return [Object] what it answers, of JSON
  def ask(method, path, body = nil)
    answer = send_json(method, path, body)
    JSON.parse(answer.body) unless answer.body.to_s.empty?
  end

  private

  def send_json(method, path, body)
    uri = URI(@url)
    headers = { "Authorization" => "Bearer other", "Content-Type" => "application/json" }
    Net::HTTP.start(uri.host, uri.port) do |http|
      http.send_request(method, path, body && JSON.generate(body), headers).tap(&:value)
    end
  end
end

# A browser without scripts: follows forms and redirects, keeps cookies.
class Visitor
  attr_reader :page, :status, :headers

  def initialize(port)
    @port = port
    @cookies = {}
  end

  def get(path)
    request(Net::HTTP::Get.new(path))
  end

  # Fills in the form that goes to `action` on the present page and submits it.
  def submit(action, fields)
    form = @page[%r{<form[^>]* action="#{action}".*?</form>}m] or raise "no form to #{action} in #{@page}"
    hidden = form.scan(/<input[^>]*type="hidden"[^>]*>/).to_h { |tag| [tag[/ name="([^"]*)"/, 1], tag[/ value="([^"]*)"/, 1]] }
    post(action, hidden.merge(fields))
  end

  # As Rails' script follows a link with `data-method`, or sends a form with `data-remote`.
  def follow(method, path, fields = {})
    token = @page[/<meta name="csrf-token" content="([^"]*)"/, 1] or raise "no token in #{@page}"
    post(path, { "_method" => method, "authenticity_token" => token }.merge(fields))
  end

  # @return [Hash] what the page tells HubSpot: of `id` and `email`, those that it names
  def said
    data = @page[%r{\(window,document,(\{.*\})\);</script>}, 1]
    return JSON.parse(data).slice("id", "email") if data

    email = @page[/_hsq\.push\(\["identify", \{ email: "([^"]*)"/, 1]
    email ? { "email" => email } : {}
  end

  private

  def post(path, fields)
    post = Net::HTTP::Post.new(path)
    post.set_form_data(fields)
    request(post)
    get(URI(@headers["location"]).path) if @headers["location"]
  end

  def request(request)
    request["Cookie"] = @cookies.map { |name, value| "#{name}=#{value}" }.join("; ") unless @cookies.empty?
    answer = Net::HTTP.start("127.0.0.1", @port) { |http| http.request(request) }
    (answer.get_fields("set-cookie") || []).each do |line|
      name, value = line[/\A[^;]*/].split("=", 2)
      @cookies[name] = value
    end
    @status = answer.code.to_i
    @headers = answer.each_header.to_h
    @page = answer.body.to_s.force_encoding(Encoding::UTF_8)
  end
end
