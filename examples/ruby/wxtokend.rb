# Calls WeChat with the token that wxtokend keeps, and never fetches one. Ruby 3.0+.
#   wechat = Wxtokend.new("wx0123456789abcdef")
#   wechat.call("/cgi-bin/user/get", { next_openid: "" })    # GET
#   wechat.call("/cgi-bin/menu/create", {}, { button: [] })  # POST
require "json"
require "net/http"
require "socket"

class Wxtokend
  DEAD = [40001, 40014, 42001].freeze
  attr_accessor :file, :socket

  def initialize(appid, directory: nil, api: "https://api.weixin.qq.com")
    @appid, @api = appid, api
    directory ||= ENV.fetch("WXTOKEND_DIRECTORY", "/run/wxtokend")
    @file = "#{directory}/wx_access_token_#{appid}"
    @socket = "#{directory}/control.sock"
  end

  # Read it before every call: it may be another one at any moment.
  def token
    token = read
    return token["value"] if token["expire"] > Time.now.to_f
    raise "could not use #{file}: its token has expired; see wxtokend status"
  end

  # The token to use instead of one that WeChat refused; nil if there is no other.
  def replacement(stale)
    value = read["value"]
    value = report(stale)["value"] if value == stale
    value unless value == stale
  rescue StandardError
    nil # WeChat's own answer tells more than this error
  end

  # WeChat's answer as a Hash, or as a String if it is a file.
  def call(path, query = {}, body = nil)
    used = token
    answer = ask(path, query, body, used)
    other = replacement(used) if answer.is_a?(Hash) && DEAD.include?(answer["errcode"])
    other ? ask(path, query, body, other) : answer
  end

  private def read
    text = ENV["WXTOKEND_URL"] ? remote("token") : File.read(file)
    token = JSON.parse(text) rescue {} # what the parser says may hold the token
    return token if token.is_a?(Hash) && token["value"] && token["expire"]
    raise "could not use #{file}: it holds no token; see wxtokend status"
  end

  private def ask(path, query, body, token)
    uri = URI("#{@api}#{path}?#{URI.encode_www_form(query.merge(access_token: token))}")
    request = (body ? Net::HTTP::Post : Net::HTTP::Get).new(uri, "Content-Type" => "application/json")
    request.body = JSON.generate(body) if body
    http = { use_ssl: uri.scheme == "https", open_timeout: 10, read_timeout: 10 }
    content = Net::HTTP.start(uri.host, uri.port, **http) { |wechat| wechat.request(request).body }
    content.start_with?("{") ? JSON.parse(content) : content
  end

  # Of wxtokend on another host, instead of file and socket.
  private def remote(what, body = nil)
    uri = URI("#{ENV["WXTOKEND_URL"]}/v1/credentials/#{File.basename(file)}/#{what}")
    bearer = File.read(ENV.fetch("WXTOKEND_BEARER_FILE")).strip
    request = (body ? Net::HTTP::Post : Net::HTTP::Get).new(uri, "Authorization" => "Bearer #{bearer}")
    http = { use_ssl: uri.scheme == "https", open_timeout: 10, read_timeout: 25 }
    Net::HTTP.start(uri.host, uri.port, nil, **http) { |keeper| keeper.request(request, body).body }
  end

  private def report(stale)
    return JSON.parse(remote("refresh", JSON.generate(stale: stale))) if ENV["WXTOKEND_URL"]
    post = Net::HTTP::Post.new("/v1/accounts/#{@appid}/refresh", "Host" => "wxtokend")
    post.body = JSON.generate(stale: stale)
    UNIXSocket.open(socket) do |unix|
      keeper = Net::BufferedIO.new(unix, read_timeout: 25) # it may ask WeChat before it answers
      post.exec(keeper, "1.1", post.path)
      answer = Net::HTTPResponse.read_new(keeper)
      JSON.parse(answer.reading_body(keeper, true) { answer.body })
    end
  end
end
