<?php
/** What easywechat5.php needs of EasyWeChat 5, and how that SDK retries. The requests are real PSR-7 ones. */
namespace EasyWeChat\Kernel\Contracts {
    use Psr\Http\Message\RequestInterface;

    interface AccessTokenInterface
    {
        public function getToken(): array;
        public function refresh(): self;
        public function applyToRequest(RequestInterface $request, array $requestOptions = []): RequestInterface;
    }
}

namespace EasyWeChat\Kernel {
    use EasyWeChat\Kernel\Contracts\AccessTokenInterface;
    use Nyholm\Psr7\Request;

    class BaseClient
    {
        public function __construct(private AccessTokenInterface $accessToken, private string $base) {}

        public function request(string $method, string $path, array $query, ?string $body = null): array
        {
            $plain = new Request($method, "$this->base$path?" . http_build_query($query), [], $body);
            for ($retries = 0; ; $retries++) {
                $request = $this->accessToken->applyToRequest($plain);
                $http = ['method' => $method, 'content' => (string) $request->getBody(), 'header' => 'Content-Type: application/json'];
                $answer = json_decode(file_get_contents((string) $request->getUri(), false, stream_context_create(['http' => $http])), true);
                if ($retries >= 1 || !in_array($answer['errcode'] ?? 0, [40001, 40014, 42001], true)) return $answer;
                $this->accessToken->refresh();
            }
        }
    }
}
