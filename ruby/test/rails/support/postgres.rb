# frozen_string_literal: true

require "etc"
require "fileutils"
require "tmpdir"
begin
  require "pg"
rescue LoadError
  nil
end

# A PostgreSQL of the tests' own: on a socket in a folder of its own, ended with the process that started it.
class PostgresServer
  SETTINGS = %w[listen_addresses= fsync=off jit=off max_connections=60].freeze

  class << self
    # @return [String, nil] why there can be none
    def missing
      return "PostgreSQL's server is not installed" unless programs
      return "root has no user postgres or nobody to run PostgreSQL as" if Process.euid.zero? && unprivileged.nil?

      "the gem pg is not installed" unless defined?(PG)
    end

    # @return [PostgresServer] one for the whole process
    def get
      @get ||= new.tap { |server| at_end(server) }
    end

    # @return [String, nil] the folder of the newest server's programs
    def programs
      newest = Dir["/usr/lib/postgresql/*/bin"].sort_by { |folder| -folder[/\d+/].to_i }
      [*newest, *ENV.fetch("PATH", "").split(":")].find { |folder| %w[initdb postgres].all? { |name| File.executable?("#{folder}/#{name}") } }
    end

    # @return [Etc::Passwd, nil] whom root runs a server as
    def unprivileged
      %w[postgres nobody].filter_map { |name| Etc.getpwnam(name) rescue nil }.first # rubocop:disable Style/RescueModifier
    end

    private

    # Whatever ends the process, but not in the children of a fork.
    def at_end(server)
      pid = Process.pid
      stop = -> { server.stop if Process.pid == pid }
      # Minitest runs at the end itself.
      defined?(Minitest) ? Minitest.after_run(&stop) : at_exit(&stop)
    end
  end

  attr_reader :folder, :pid

  # @param settings [Array<String>] besides those of all
  def initialize(settings = [])
    @folder = Dir.mktmpdir("pg", "/tmp") # A socket's path has 107 bytes at the most.
    @settings = SETTINGS + settings
    @databases = 0
    user = self.class.unprivileged if Process.euid.zero?
    FileUtils.touch("#{@folder}/log")
    FileUtils.chown_R(user.uid, user.gid, @folder) if user
    @as = user ? ["setpriv", "--reuid=#{user.uid}", "--regid=#{user.gid}", "--clear-groups"] : []
    run("initdb", "--no-sync", "--auth=trust", "--username=app", "--encoding=UTF8", "--locale=C", "-D", "#{@folder}/data") || raise(log)
    start
  end

  # @return [void]
  def start
    options = @settings.flat_map { |setting| ["-c", setting] }
    @pid = spawn(*command("postgres", "-D", "#{@folder}/data", "-k", @folder, *options), **log_to, pgroup: true)
    until ready?
      raise log if Process.wait(@pid, Process::WNOHANG)

      sleep 0.02
    end
  end

  # @param signal [String] QUIT: at once, as after a crash; INT: in order
  # @return [void]
  def down(signal = "QUIT")
    Process.kill(signal, @pid)
    Process.wait(@pid)
    @pid = nil
  end

  # @return [void]
  def stop
    down if @pid
    FileUtils.rm_rf(@folder)
  end

  # @return [String] the address of a new database
  def database
    name = "app#{@databases += 1}"
    connect("postgres") { |connection| connection.exec("CREATE DATABASE #{name}") }
    url(name)
  end

  # @return [String]
  def url(name)
    "postgresql://app@#{@folder.gsub("/", "%2F")}/#{name}"
  end

  # A connection that is nobody's else.
  def connect(name)
    connection = PG.connect(host: @folder, user: "app", dbname: name)
    yield connection
  ensure
    connection&.close
  end

  private

  def command(program, *arguments)
    [*@as, "#{self.class.programs}/#{program}", *arguments]
  end

  def run(*command)
    system(*command(*command), **log_to)
  end

  def log_to
    { in: File::NULL, out: ["#{@folder}/log", "a"], err: %i[child out], chdir: @folder }
  end

  def log
    File.read("#{@folder}/log")
  end

  def ready?
    connect("postgres") { true }
  rescue PG::Error
    false
  end
end
