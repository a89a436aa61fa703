# What wechat_gem.rb needs of the gem "wechat", and how that gem retries: with the same names, and no more.
require "json"
require "net/http"

module Wechat
  class AccessTokenExpiredError < StandardError; end

  module Token
    class PublicAccessToken
      attr_reader :appid, :secret, :access_token

      def initialize(appid, secret)
        @appid = appid
        @secret = secret
      end

      def token
        refresh unless access_token
        access_token
      end

      def refresh
        query = { grant_type: "client_credential", appid: appid, secret: secret }
        @access_token = Wechat.ask("GET", "/cgi-bin/token", query, nil)["access_token"]
      end
    end
  end

  class ApiBase
    def initialize(access_token)
      @access_token = access_token
    end

    def request(method, path, query, body)
      with_access_token(query) { |params| Wechat.ask(method, path, params, body) }
    end

    def with_access_token(params, tries = 2)
      yield params.merge(access_token: @access_token.token)
    rescue AccessTokenExpiredError
      @access_token.refresh
      retry unless (tries -= 1).zero?
    end
  end

  def self.ask(method, path, query, body)
    uri = URI("#{ENV.fetch('WECHAT_API')}#{path}?#{URI.encode_www_form(query)}")
    answer = JSON.parse(method == "POST" ? Net::HTTP.post(uri, body).body : Net::HTTP.get(uri))
    raise AccessTokenExpiredError, answer["errcode"].to_s if [42001, 40014, 40001].include?(answer["errcode"])

    answer
  end
end
