<?php
/**
 * EasyWeChat 6 with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
 *
 *     $app = new EasyWeChat\OfficialAccount\Application($config);  // MiniApp too, since 6.3.0
 *     WxtokendHttpClient::plugInto($app);  // at once: the first getClient() keeps what it finds
 */
use EasyWeChat\Kernel\Contracts\RefreshableAccessToken;
use Symfony\Contracts\HttpClient\{HttpClientInterface, ResponseInterface, ResponseStreamInterface};

final class WxtokendAccessToken implements RefreshableAccessToken {
    public function __construct(private Wxtokend $keeper) {}
    public function getToken(): string { return $this->keeper->token(); }
    public function toQuery(): array { return ['access_token' => $this->getToken()]; }
    public function refresh(): string { return $this->keeper->replacement($stale = $this->getToken()) ?? $stale; }
}

final class WxtokendHttpClient implements HttpClientInterface {
    public function __construct(private HttpClientInterface $http, private Wxtokend $keeper) {}

    public static function plugInto(object $app, ?Wxtokend $keeper = null): void {
        $keeper ??= new Wxtokend($app->getAccount()->getAppId());
        $app->setAccessToken(new WxtokendAccessToken($keeper));
        $app->setHttpClient(new self($app->getHttpClient(), $keeper));
    }

    public function request(string $method, string $url, array $options = []): ResponseInterface {
        $response = $this->http->request($method, $url, $options);
        $stale = $options['query']['access_token'] ?? null;
        if ($stale === null || !self::isRefused($response)) return $response;
        $other = $this->keeper->replacement($stale);
        // A stream cannot be sent twice; the next call works.
        if ($other === null || !is_string($options['body'] ?? '')) return $response;
        $options['query']['access_token'] = $other;
        return $this->http->request($method, $url, $options);
    }

    public function stream($responses, ?float $timeout = null): ResponseStreamInterface {
        return $this->http->stream($responses, $timeout);
    }

    public function withOptions(array $options): static {
        return new static($this->http->withOptions($options), $this->keeper);
    }

    /** Waits for the answer, so that lazy calls become calls one after another. */
    private static function isRefused(ResponseInterface $response): bool {
        $type = $response->getHeaders(false)['content-type'][0] ?? '';
        if (!preg_match('/json|text/', $type)) return false; // pictures and the like are not read here
        $answer = json_decode($response->getContent(false), true);
        return in_array($answer['errcode'] ?? 0, Wxtokend::DEAD, true);
    }
}
