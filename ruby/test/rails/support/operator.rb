# frozen_string_literal: true

require "rack/mock"

# Somebody with a browser at the operators' page: keeps its cookie, and presses buttons that stand on a page.
class Operator
  HOST = "shop.test"

  attr_reader :answer

  def initialize(app = Vidcache::Web, mount: "/vidcache", headers: {})
    @app = app
    @mount = mount
    @headers = { "HTTP_HOST" => HOST, "SERVER_NAME" => HOST, "SCRIPT_NAME" => mount }.merge(headers)
  end

  # @return [Integer] the status
  def get(address, headers = {})
    call("GET", address, headers)
  end

  # A button of the page that is open: its form, as the browser sends it; `fields` are filled in besides.
  def press(address, fields = {}, headers = {})
    form = forms.fetch(address) { raise "there is no form for #{address} among #{forms.keys}" }
    post(address, form.merge(fields), { "HTTP_SEC_FETCH_SITE" => "same-origin" }.merge(headers))
  end

  def post(address, fields, headers = {})
    @sent = { "CONTENT_TYPE" => "application/x-www-form-urlencoded", input: Rack::Utils.build_query(fields) }
    call("POST", address, headers.merge(@sent))
  end

  # @return [Hash{String => Hash}] the hidden fields of each form of the page, by its address
  def forms
    answer.body.scan(%r{<form[^>]*action="#{@mount}([^"]+)">(.*?)</form>}m).to_h do |address, inside|
      [CGI.unescapeHTML(address), inside.scan(/name="([^"]*)" value="([^"]*)"/).to_h.transform_values { |value| CGI.unescapeHTML(value) }]
    end
  end

  # @return [Integer] the status of the page that the answer leads to
  def follow
    get(answer["Location"].delete_prefix(@mount))
  end

  def body
    answer.body
  end

  def json(address)
    get(address, "HTTP_ACCEPT" => "application/json")
    JSON.parse(body)
  end

  # The environment of the last request, as the app's other middleware sees it afterwards.
  attr_reader :env

  private

  def call(method, address, headers)
    options = @headers.merge(headers)
    options["HTTP_COOKIE"] = @cookie if @cookie
    @env = Rack::MockRequest.env_for(address, options.merge(method: method)).merge("SCRIPT_NAME" => @mount)
    @answer = Rack::MockResponse.new(*@app.call(@env))
    @cookie = @answer["Set-Cookie"][/\A[^;]+/] if @answer["Set-Cookie"]
    @answer.status
  end
end
