<?php
/**
 * What easywechat6.php needs of EasyWeChat 6, with the same names, types and habits, and no more. The HTTP client is the
 * real one of Symfony.
 */
namespace EasyWeChat\Kernel\Contracts {
    interface AccessToken
    {
        public function getToken(): string;
        public function toQuery(): array;
    }
    interface RefreshableAccessToken extends AccessToken
    {
        public function refresh(): string;
    }
    interface JsApiTicket
    {
        public function getTicket(): string;
        public function configSignature(string $url, string $nonce, int $timestamp): array;
    }
}

namespace EasyWeChat\OfficialAccount {
    require '/usr/share/php/Symfony/Component/HttpClient/autoload.php';

    use EasyWeChat\Kernel\Contracts\{AccessToken, JsApiTicket};
    use Symfony\Component\HttpClient\HttpClient;
    use Symfony\Contracts\HttpClient\HttpClientInterface;

    class Application
    {
        private ?AccessToken $accessToken = null;
        private ?HttpClientInterface $httpClient = null;
        private ?\Closure $client = null;
        private ?JsApiTicket $ticket = null;

        public function __construct(private array $config) {}

        public function getAccount(): object
        {
            return new class ($this->config['app_id']) {
                public function __construct(private string $appId) {}
                public function getAppId(): string { return $this->appId; }
            };
        }

        public function getHttpClient(): HttpClientInterface
        {
            return $this->httpClient ??= HttpClient::create()->withOptions(['base_uri' => $this->config['http']['base_uri']]);
        }

        public function setHttpClient(HttpClientInterface $httpClient): static
        {
            $this->httpClient = $httpClient;
            return $this;
        }

        public function setAccessToken(AccessToken $accessToken): static
        {
            $this->accessToken = $accessToken;
            return $this;
        }

        public function setTicket(JsApiTicket $ticket): static
        {
            $this->ticket = $ticket;
            return $this;
        }

        /** The real one makes a JsApiTicket that fetches, if none was set. */
        public function getTicket(): JsApiTicket
        {
            return $this->ticket ?? throw new \LogicException('the SDK would fetch a ticket');
        }

        public function getUtils(): object
        {
            return new class ($this) {
                public function __construct(private Application $app) {}
                public function buildJsSdkConfig(string $url, array $jsApiList = []): array
                {
                    $config = $this->app->getTicket()->configSignature($url, uniqid(), time());
                    return array_merge(['jsApiList' => $jsApiList, 'openTagList' => [], 'debug' => false], $config);
                }
            };
        }

        /** The real one is an object; it too keeps the token and the HTTP client that it was made with. */
        public function getClient(): \Closure
        {
            if ($this->client) return $this->client;
            [$http, $token] = [$this->getHttpClient(), $this->accessToken];
            return $this->client = function (string $method, string $url, array $options) use ($http, $token) {
                $query = $token ? $token->toQuery() : $this->fetch();
                $options['query'] = array_merge($options['query'] ?? [], $query);
                return $http->request($method, ltrim($url, '/'), $options)->toArray();
            };
        }

        private function fetch(): array
        {
            $query = ['grant_type' => 'client_credential', 'appid' => $this->config['app_id'], 'secret' => $this->config['secret']];
            $answer = $this->getHttpClient()->request('GET', 'cgi-bin/token', ['query' => $query])->toArray();
            return ['access_token' => $answer['access_token']];
        }
    }
}
