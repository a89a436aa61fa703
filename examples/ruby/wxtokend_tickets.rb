# Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Put it beside wxtokend.rb.
#   tickets = WxtokendTickets.new("wx0123456789abcdef")
#   config = tickets.page(url) # location.href.split("#")[0] of the browser
#   card_ext = tickets.card("pXch-jnOlGtbuWwIO2NDftZeynRE", code: "1234").to_json
require "digest"
require "securerandom"
require_relative "wxtokend"

class WxtokendTickets
  def initialize(appid, directory: nil)
    @appid = appid
    @directory = File.dirname(Wxtokend.new(appid, directory: directory).file)
  end

  # "jsapi" or "card". Read it at every use: it may be another one at any moment.
  def ticket(kind)
    reader = Wxtokend.new(@appid, directory: @directory)
    reader.file = "#{@directory}/wx_#{kind}_ticket_#{@appid}"
    reader.token
  end

  # What wx.config takes. The name is nonceStr there, and noncestr in the text that is signed.
  def page(url, nonce: SecureRandom.hex(8), timestamp: Time.now.to_i)
    address = url.split("#", 2).first
    text = "jsapi_ticket=#{ticket("jsapi")}&noncestr=#{nonce}&timestamp=#{timestamp}&url=#{address}"
    { appId: @appid, timestamp: timestamp, nonceStr: nonce, signature: Digest::SHA1.hexdigest(text) }
  end

  # As page, but wxtokend signs, and the ticket does not leave it.
  def request_page(url)
    head = { "Host" => "wxtokend", "Content-Type" => "application/json" }
    post = Net::HTTP::Post.new("/v1/accounts/#{@appid}/jssdk", head)
    post.body = JSON.generate(url: url)
    UNIXSocket.open("#{@directory}/control.sock") do |unix|
      keeper = Net::BufferedIO.new(unix, read_timeout: 10)
      post.exec(keeper, "1.1", post.path)
      answer = Net::HTTPResponse.read_new(keeper)
      config = JSON.parse(answer.reading_body(keeper, true) { answer.body })
      config["signature"] ? config : raise("could not sign a page: #{config["message"]}")
    end
  end

  # cardExt of a card. fields: code and openid, if they are used; timestamp and nonce_str are added.
  def card(card_id, **fields)
    card_ext = { timestamp: Time.now.to_i.to_s, nonce_str: SecureRandom.hex(8), **fields }
    { **card_ext, signature: self.class.signature([ticket("card"), card_id, *card_ext.values]) }
  end

  # Sorted by bytes.
  def self.signature(values) = Digest::SHA1.hexdigest(values.sort.join)
end
